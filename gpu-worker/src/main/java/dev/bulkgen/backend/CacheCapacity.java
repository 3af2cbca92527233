package dev.bulkgen.backend;

/**
 * What the memory plan grants a backend; it takes all of it at start and never asks again.
 *
 * @param pages in the pool, each of one layer
 * @param slots window slots: the most sequences in flight
 * @param prefillTokens the most prompt tokens of one step; longer prompts come in parts
 * @param contextTokens the longest sequence, prompt and output, in tokens
 * @param stagingPages pages for prompts in float16, each of one layer; none where the cache policy
 *     is exact itself, or where prompts neither come in parts nor share beginnings
 * @param swapPages pages of host memory for sequences that are swapped out
 * @param swapSlots window slots of host memory: the most sequences swapped out
 */
public record CacheCapacity(
    int pages,
    int slots,
    int prefillTokens,
    int contextTokens,
    int stagingPages,
    int swapPages,
    int swapSlots) {

  /** Whole prompts only, and nobody is swapped out. */
  public CacheCapacity(int pages, int slots, int prefillTokens) {
    this(pages, slots, prefillTokens, prefillTokens, 0, 0, 0);
  }
}
