package dev.bulkgen.engine;

/**
 * What an engine has done since it was opened.
 *
 * @param promptTokens prefilled
 * @param cachedTokens of prompts, which were not prefilled since another prompt began alike
 * @param generatedTokens of all sequences, ended or not
 * @param steps forward passes
 * @param sequenceSteps sequences of all steps added up
 * @param prefillNanos time of steps with at least one prompt
 * @param decodeNanos time of the other steps
 * @param peakPages most pages in use at a time
 * @param peakCacheBytes most bytes of pages, windows and staging in use at a time
 * @param cacheBytes that the backend has taken from the machine, pages, windows and staging
 * @param slots most sequences in flight
 * @param load at the newest step
 * @param swapOuts sequences that made room for others
 */
public record EngineMetrics(
    long promptTokens,
    long cachedTokens,
    long generatedTokens,
    long steps,
    long sequenceSteps,
    long prefillNanos,
    long decodeNanos,
    int peakPages,
    long peakCacheBytes,
    long cacheBytes,
    int slots,
    Load load,
    long swapOuts) {

  /**
   * Where requests and pages are.
   *
   * @param queued requests, which nobody has looked at yet
   * @param waiting sequences that the scheduler knows
   * @param running sequences
   * @param swapped sequences in host memory
   * @param usedPages of the cache
   */
  public record Load(int queued, int waiting, int running, int swapped, int usedPages) {}

  /** Share of the batch limit that the average step fills, 0 to 1; 0 before the first step. */
  public double occupancy() {
    return steps == 0 ? 0 : (double) sequenceSteps / ((double) steps * slots);
  }
}
