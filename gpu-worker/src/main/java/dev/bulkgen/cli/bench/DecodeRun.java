package dev.bulkgen.cli.bench;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.sampling.Sampler;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Times prompts and decode steps on one backend. */
final class DecodeRun {
  /** Steps a sequence may take after its prompt: what the pages are laid out for. */
  static final int MAX_STEPS = 160;

  private static final int MIN_STEPS = 5;
  private static final int MIN_PROMPTS = 2;
  private static final int WARM_STEPS = 3;

  private final Backend backend;
  private final CacheLayout layout;
  private final BenchPrompts prompts;
  private final double enoughSeconds;

  DecodeRun(Backend backend, CacheLayout layout, BenchPrompts prompts, double enoughSeconds) {
    this.enoughSeconds = enoughSeconds;
    this.backend = backend;
    this.layout = layout;
    this.prompts = prompts;
  }

  /** The best of several prefills of {@code context} tokens. */
  double bestPromptSeconds(int context) {
    PagePool pool = pool(1, context);
    double best = Double.POSITIVE_INFINITY;
    double total = 0;
    for (int run = 0; run < MIN_PROMPTS || total < enoughSeconds; run++) {
      SequenceCache cache = new SequenceCache(0, layout.layers());
      long start = System.nanoTime();
      prefill(pool, cache, prompts.ids(run, context));
      double seconds = (System.nanoTime() - start) / 1e9;
      pool.release(cache.pages());
      best = Math.min(best, seconds);
      total += seconds;
    }
    return best;
  }

  /**
   * The median of decode steps of {@code batch} sequences that hold {@code context} tokens each.
   */
  double medianStepSeconds(int batch, int context) {
    PagePool pool = pool(batch, context);
    List<SequenceCache> caches = new ArrayList<>();
    for (int i = 0; i < batch; i++) {
      SequenceCache cache = new SequenceCache(i, layout.layers());
      if (i == 0) {
        prefill(pool, cache, prompts.ids(0, context));
      } else {
        // Prefilling every sequence would take minutes and tell nothing that one prefill does not.
        pool.grow(cache.pages(), layout.pagesPerLayer(context));
        backend.copyCache(caches.get(0), cache);
        cache.advance(context);
      }
      caches.add(cache);
    }
    double[] seconds = new double[MAX_STEPS];
    double total = 0;
    int steps = 0;
    while (steps < WARM_STEPS + MIN_STEPS || (total < enoughSeconds && steps < MAX_STEPS)) {
      seconds[steps] = step(pool, caches, steps);
      total += seconds[steps++];
    }
    double[] timed = Arrays.copyOfRange(seconds, WARM_STEPS, steps);
    Arrays.sort(timed);
    return timed[timed.length / 2];
  }

  private double step(PagePool pool, List<SequenceCache> caches, int number) {
    List<SequenceStep> steps = new ArrayList<>();
    for (SequenceCache cache : caches) {
      pool.grow(cache.pages(), layout.pagesPerLayer(cache.length() + 1));
      int[] token = prompts.ids(1_000 + number * caches.size() + cache.slot(), 1);
      steps.add(new SequenceStep(cache, token, argmax(), LogitsRequest.NONE));
    }
    long start = System.nanoTime();
    StepOutput output = backend.forward(new StepBatch(steps));
    double seconds = (System.nanoTime() - start) / 1e9;
    requireTokens(output);
    caches.forEach(cache -> cache.advance(1));
    return seconds;
  }

  private void prefill(PagePool pool, SequenceCache cache, int[] ids) {
    pool.grow(cache.pages(), layout.pagesPerLayer(ids.length));
    SequenceStep step = new SequenceStep(cache, ids, argmax(), LogitsRequest.NONE);
    requireTokens(backend.forward(new StepBatch(List.of(step))));
    cache.advance(ids.length);
  }

  private PagePool pool(int batch, int context) {
    return new PagePool(batch * layout.layers() * layout.pagesPerLayer(context + MAX_STEPS));
  }

  private static void requireTokens(StepOutput output) {
    for (StepOutput.SequenceOutput sequence : output.sequences()) {
      if (sequence instanceof StepOutput.Failure failure) {
        throw failure.error();
      }
    }
  }

  private static Sampler argmax() {
    return (logits, offset, vocabSize) -> {
      int best = 0;
      for (int i = 1; i < vocabSize; i++) {
        best = logits[offset + i] > logits[offset + best] ? i : best;
      }
      return best;
    };
  }
}
