package dev.bulkgen.config;

import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * How an engine fills its batch.
 *
 * @param maxPrefillTokens most prompt tokens of a step; empty: what the longest prompt has
 * @param swapBytes of host memory for sequences that are swapped out; empty: a share of what is
 *     free where the cache is on a device, else none
 * @param prefixSharing of prompts that begin alike
 */
public record SchedulingConfig(
    OptionalInt maxPrefillTokens, OptionalLong swapBytes, PrefixSharing prefixSharing) {
  public static final SchedulingConfig DEFAULT =
      new SchedulingConfig(OptionalInt.empty(), OptionalLong.empty(), PrefixSharing.AUTO);
}
