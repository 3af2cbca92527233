package dev.bulkgen.schedule;

import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.config.PrefixSharing;

/**
 * What the scheduler keeps to.
 *
 * @param slots most sequences running
 * @param prefillTokens most prompt tokens of a step
 * @param swapSlots most sequences swapped out
 * @param fillTarget a batch that was full is filled up again once it has fallen to this share, so
 *     that prompts come several at a time
 * @param expectedTokens of an output, before any is known
 * @param sharesPrefixes whether prompts that begin alike are prefilled once
 */
public record SchedulerLimits(
    int slots,
    int prefillTokens,
    int swapSlots,
    double fillTarget,
    int expectedTokens,
    boolean sharesPrefixes) {
  /** Where the simulated throughput of a 7B model is flat. */
  public static final double FILL_TARGET = 0.97;

  /** About the mean of published traces of conversations. */
  public static final int EXPECTED_TOKENS = 256;

  public static SchedulerLimits of(MemoryPlan plan) {
    return new SchedulerLimits(
        plan.slots(),
        plan.demand().prefillTokens(),
        plan.swapSlots(),
        FILL_TARGET,
        EXPECTED_TOKENS,
        plan.demand().sharing() == PrefixSharing.AUTO);
  }
}
