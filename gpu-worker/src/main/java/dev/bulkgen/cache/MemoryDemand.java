package dev.bulkgen.cache;

import dev.bulkgen.config.PrefixSharing;

/**
 * What a memory plan starts from; all amounts in bytes.
 *
 * @param budget what may be taken in all
 * @param weights of the model
 * @param placement whether the weights are taken from the budget
 * @param workspace activations and staging buffers of the backend
 * @param logits of a full batch
 * @param reserve left alone
 * @param maxBatch most sequences in flight
 * @param maxModelLen longest sequence, prompt and output, in tokens
 * @param prefillTokens most prompt tokens of one step
 * @param swap host memory for sequences that are swapped out, beside the budget
 * @param sharing whether room is kept for what prompts have in common
 */
public record MemoryDemand(
    long budget,
    long weights,
    WeightPlacement placement,
    long workspace,
    long logits,
    long reserve,
    int maxBatch,
    int maxModelLen,
    int prefillTokens,
    long swap,
    PrefixSharing sharing) {

  /** Where the weights lie. */
  public enum WeightPlacement {
    /** On the device, inside the budget. */
    RESIDENT,
    /** In mapped files, which the system can drop and read again: outside the budget. */
    MAPPED
  }

  /** What is gone from the budget before the first page. */
  public long fixedBytes() {
    return (placement == WeightPlacement.RESIDENT ? weights : 0) + workspace + logits + reserve;
  }

  /** What is left for the cache; negative if the fixed parts alone are too large. */
  public long cacheBudget() {
    return budget - fixedBytes();
  }
}
