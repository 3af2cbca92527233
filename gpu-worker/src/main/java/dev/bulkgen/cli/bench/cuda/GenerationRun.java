package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.sampling.PhiloxRandom;
import dev.bulkgen.sampling.Sampler;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.TokenSampler;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;

/** Sequences of equal length from prompt to last token, all together. */
final class GenerationRun {
  private final Backend backend;
  private final CacheLayout layout;
  private final int vocabulary;
  private final int prefillTokens;
  private final PagePool pool;

  /**
   * @param prefillSeconds of all prompts, their first tokens with them
   * @param stepSeconds of each decode step of all sequences, from the tokens before it to its own
   * @param tokens [sequences][generated]
   */
  record Result(double prefillSeconds, double[] stepSeconds, int[][] tokens) {
    double seconds() {
      double sum = prefillSeconds;
      for (double step : stepSeconds) {
        sum += step;
      }
      return sum;
    }

    double tokensPerSecond() {
      return (double) tokens.length * tokens[0].length / seconds();
    }
  }

  /**
   * @param pages of the backend
   * @param prefillTokens most prompt tokens of a step
   */
  GenerationRun(Backend backend, CacheLayout layout, int vocabulary, int pages, int prefillTokens) {
    this.backend = backend;
    this.layout = layout;
    this.vocabulary = vocabulary;
    this.prefillTokens = prefillTokens;
    pool = new PagePool(pages);
  }

  /** Greedy, past any end token. */
  Result run(int sequences, int promptTokens, int generated) {
    List<SequenceCache> caches = new ArrayList<>();
    List<Sampler> samplers = new ArrayList<>();
    int[][] prompts = new int[sequences][];
    for (int i = 0; i < sequences; i++) {
      caches.add(new SequenceCache(i, layout.layers()));
      prompts[i] = new SplittableRandom(i).ints(promptTokens, 0, vocabulary).toArray();
      samplers.add(
          new TokenSampler(
              SamplingParams.GREEDY, prompts[i], Set.of(), new PhiloxRandom(0, "row " + i, 0)));
    }
    int[][] tokens = new int[sequences][generated];
    long start = System.nanoTime();
    int together = Math.max(1, prefillTokens / promptTokens);
    for (int first = 0; first < sequences; first += together) {
      int end = Math.min(sequences, first + together);
      List<SequenceCache> some = caches.subList(first, end);
      take(submit(some, samplers, prompts, first).await(), tokens, first, 0);
    }
    double prefillSeconds = secondsSince(start);
    double[] stepSeconds = decode(caches, samplers, tokens);
    caches.forEach(cache -> pool.release(cache.pages()));
    return new Result(prefillSeconds, stepSeconds, tokens);
  }

  /** As the engine does it: a step is submitted before the tokens of the one before are here. */
  private double[] decode(List<SequenceCache> caches, List<Sampler> samplers, int[][] tokens) {
    int generated = tokens[0].length;
    double[] stepSeconds = new double[generated - 1];
    int[][] inputs = new int[tokens.length][1];
    for (int i = 0; i < inputs.length; i++) {
      inputs[i][0] = tokens[i][0];
    }
    long start = System.nanoTime();
    Backend.PendingStep pending = generated > 1 ? submit(caches, samplers, inputs, 0) : null;
    int[][] asDrawn = new int[tokens.length][0];
    for (int number = 1; number < generated; number++) {
      boolean isLast = number + 1 == generated;
      Backend.PendingStep next = isLast ? null : submit(caches, samplers, asDrawn, 0);
      take(pending.await(), tokens, 0, number);
      stepSeconds[number - 1] = secondsSince(start);
      start = System.nanoTime();
      pending = next;
    }
    return stepSeconds;
  }

  private Backend.PendingStep submit(
      List<SequenceCache> caches, List<Sampler> samplers, int[][] inputs, int first) {
    List<SequenceStep> steps = new ArrayList<>();
    for (int i = 0; i < caches.size(); i++) {
      SequenceCache cache = caches.get(i);
      int[] input = inputs[first + i];
      SequenceStep step =
          new SequenceStep(cache, input, samplers.get(first + i), LogitsRequest.NONE);
      pool.grow(cache.pages(), layout.pagesPerLayer(step.lengthAfter()));
      steps.add(step);
    }
    Backend.PendingStep pending = backend.submit(new StepBatch(steps));
    steps.forEach(step -> step.cache().advance(step.lengthAfter() - step.cache().length()));
    return pending;
  }

  private static void take(StepOutput output, int[][] tokens, int first, int number) {
    for (int i = 0; i < output.sequences().size(); i++) {
      StepOutput.SequenceOutput sequence = output.sequences().get(i);
      if (sequence instanceof StepOutput.Failure failure) {
        throw failure.error();
      }
      tokens[first + i][number] = ((StepOutput.Token) sequence).token();
    }
  }

  private static double secondsSince(long start) {
    return (System.nanoTime() - start) / 1e9;
  }
}
