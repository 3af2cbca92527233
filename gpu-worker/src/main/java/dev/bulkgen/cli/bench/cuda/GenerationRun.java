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
   * @param stepSeconds of each decode step of all sequences
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
      step(caches.subList(first, end), samplers, prompts, tokens, first, 0);
    }
    double prefillSeconds = secondsSince(start);
    double[] stepSeconds = new double[generated - 1];
    int[][] last = new int[sequences][1];
    for (int number = 1; number < generated; number++) {
      for (int i = 0; i < sequences; i++) {
        last[i][0] = tokens[i][number - 1];
      }
      start = System.nanoTime();
      step(caches, samplers, last, tokens, 0, number);
      stepSeconds[number - 1] = secondsSince(start);
    }
    caches.forEach(cache -> pool.release(cache.pages()));
    return new Result(prefillSeconds, stepSeconds, tokens);
  }

  private void step(
      List<SequenceCache> caches,
      List<Sampler> samplers,
      int[][] inputs,
      int[][] tokens,
      int first,
      int number) {
    List<SequenceStep> steps = new ArrayList<>();
    for (int i = 0; i < caches.size(); i++) {
      SequenceCache cache = caches.get(i);
      int[] input = inputs[first + i];
      pool.grow(cache.pages(), layout.pagesPerLayer(cache.length() + input.length));
      steps.add(new SequenceStep(cache, input, samplers.get(first + i), LogitsRequest.NONE));
    }
    StepOutput output = backend.forward(new StepBatch(steps));
    for (int i = 0; i < caches.size(); i++) {
      caches.get(i).advance(inputs[first + i].length);
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
