package dev.bulkgen.backend;

import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.sampling.Sampler;

/**
 * What one sequence does in a step: the whole prompt where nothing is cached yet (prefill), one
 * token afterwards (decode). The pages for {@code cache.length() + tokens.length} tokens are there.
 */
public record SequenceStep(
    SequenceCache cache, int[] tokens, Sampler sampler, LogitsRequest logits) {

  public boolean isPrefill() {
    return cache.length() == 0;
  }
}
