package dev.bulkgen.engine;

import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.config.PrefixSharing;
import java.util.HashSet;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * How much of each prompt stood at the beginning of an earlier one, in whole blocks: what prefix
 * sharing can save at best, counted in the order in which the prompts are submitted. Unlike what an
 * engine really saved, it does not depend on timing, so it can stand in results that must be the
 * same in every run (P1). For one thread at a time.
 */
public final class CommonPrefixes {
  private static final long MULTIPLIER = 0x9E3779B97F4A7C15L; // odd, of the golden ratio

  private final Set<Long> seen = new HashSet<>();

  /** As {@link #add}, where anyone counts: none where the engine of {@code plan} shares nothing. */
  static OptionalInt count(Optional<CommonPrefixes> prefixes, int[] prompt, MemoryPlan plan) {
    boolean shares = plan.demand().sharing() == PrefixSharing.AUTO;
    int block = plan.layout().promptAlignment();
    return prefixes
        .map(counted -> OptionalInt.of(shares ? counted.add(prompt, block) : 0))
        .orElseGet(OptionalInt::empty);
  }

  /** Tokens of the prompt's beginning that an earlier one had; its own are remembered. */
  int add(int[] prompt, int blockTokens) {
    int common = 0;
    long hash = 0;
    // As in the engine, a prompt's last token is always its own.
    for (int end = blockTokens; end < prompt.length; end += blockTokens) {
      for (int i = end - blockTokens; i < end; i++) {
        hash = (hash ^ prompt[i]) * MULTIPLIER;
        hash ^= hash >>> 32;
      }
      common += seen.add(hash) ? 0 : blockTokens;
    }
    return common;
  }
}
