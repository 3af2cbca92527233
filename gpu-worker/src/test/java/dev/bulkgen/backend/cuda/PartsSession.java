package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.SequenceStep.Kind;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.cache.SharedPages;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.PhiloxRandom;
import dev.bulkgen.sampling.Sampler;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import dev.bulkgen.sampling.TokenSampler;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/** A backend with staging pages and a swap area, and the pools of both. */
final class PartsSession implements AutoCloseable {
  static final int SLOTS = 3;
  static final int LENGTH = 320;
  static final SamplingParams PENALIZED =
      new SamplingParamsBuilder()
          .temperature(0.8)
          .topK(40)
          .repetitionPenalty(1.3)
          .frequencyPenalty(0.2)
          .build();

  final CudaBackend backend;
  final CacheLayout layout;

  /** Of every step: steps that give none can run ahead. */
  boolean wantsLogits = true;

  private final PagePool pages;
  private final PagePool staging;
  private final PagePool swapped;

  PartsSession(ModelWeights weights, CacheLayout layout, int prefillTokens) {
    this.layout = layout;
    int each = layout.layers() * layout.pagesPerLayer(LENGTH);
    int staged = layout.isExact() ? 0 : layout.layers() * layout.staging().pagesPerLayer(LENGTH);
    CacheCapacity capacity =
        new CacheCapacity(
            SLOTS * each, SLOTS, prefillTokens, LENGTH, SLOTS * staged, 2 * each, SLOTS);
    pages = new PagePool(capacity.pages());
    staging = new PagePool(capacity.stagingPages());
    swapped = new PagePool(capacity.swapPages());
    backend =
        CudaBackend.open(
            EmulatedDevice.open(), weights, layout, capacity, Precision.ONE_PIECE, GemmChoice.OWN);
  }

  SequenceCache sequence(int slot) {
    return new SequenceCache(slot, layout.layers());
  }

  static Sampler sampler(int[] prompt, SamplingParams params) {
    return new TokenSampler(params, prompt, Set.of(), new PhiloxRandom(5, "row", 0));
  }

  SequenceStep part(SequenceCache cache, int[] tokens, int end, Sampler sampler) {
    Kind kind = end == tokens.length ? Kind.PROMPT_END : Kind.PROMPT_PART;
    if (!layout.isExact()) {
      staging.grow(cache.staging(), layout.staging().pagesPerLayer(end));
    }
    if (layout.isExact() || kind == Kind.PROMPT_END) {
      pages.grow(cache.pages(), layout.pagesPerLayer(end));
    }
    int[] own = Arrays.copyOfRange(tokens, cache.length(), end);
    LogitsRequest logits = wantsLogits ? LogitsRequest.ALL : LogitsRequest.NONE;
    return new SequenceStep(cache, own, sampler, logits, kind);
  }

  SequenceStep decode(SequenceCache cache, Sampler sampler, int... token) {
    pages.grow(cache.pages(), layout.pagesPerLayer(cache.length() + 1));
    LogitsRequest logits = wantsLogits ? LogitsRequest.LAST : LogitsRequest.NONE;
    return new SequenceStep(cache, token, sampler, logits, Kind.DECODE);
  }

  List<StepOutput.SequenceOutput> run(SequenceStep... steps) {
    return submit(List.of(steps)).await().sequences();
  }

  Backend.PendingStep submit(List<SequenceStep> steps) {
    Backend.PendingStep pending = backend.submit(new StepBatch(steps));
    for (SequenceStep step : steps) {
      step.cache().advance(step.lengthAfter() - step.cache().length());
    }
    return pending;
  }

  /** Another sequence that begins with the first {@code tokens} of {@code cache}. */
  SequenceCache shareBeginning(SequenceCache cache, int slot, int tokens, int completePages) {
    SequenceCache other = sequence(slot);
    SharedPages.share(cache.pages(), other.pages(), completePages);
    if (!layout.isExact()) {
      int staged = layout.staging().pagesPerLayer(tokens);
      SharedPages.share(cache.staging(), other.staging(), staged);
    }
    other.beginShared(tokens, completePages);
    return other;
  }

  SequenceCache swapOut(SequenceCache cache, int slot) {
    SequenceCache away = sequence(slot);
    swapped.grow(away.pages(), cache.pages().count(0));
    backend.swapOut(cache, away);
    away.advance(cache.length());
    pages.release(cache.pages());
    return away;
  }

  SequenceCache swapIn(SequenceCache away, int slot) {
    SequenceCache cache = sequence(slot);
    pages.grow(cache.pages(), away.pages().count(0));
    backend.swapIn(away, cache);
    cache.advance(away.length());
    swapped.release(away.pages());
    return cache;
  }

  @Override
  public void close() {
    backend.close();
  }
}
