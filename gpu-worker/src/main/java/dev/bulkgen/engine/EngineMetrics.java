package dev.bulkgen.engine;

/**
 * What an engine has done since it was opened.
 *
 * @param promptTokens prefilled
 * @param generatedTokens of all sequences, ended or not
 * @param steps forward passes
 * @param sequenceSteps sequences of all steps added up
 * @param prefillNanos time of steps with at least one prompt
 * @param decodeNanos time of the other steps
 * @param peakPages most pages in use at a time
 * @param peakCacheBytes most bytes of pages and windows in use at a time
 * @param cacheBytes that the backend has taken from the machine, pages and windows
 * @param slots most sequences in flight
 */
public record EngineMetrics(
    long promptTokens,
    long generatedTokens,
    long steps,
    long sequenceSteps,
    long prefillNanos,
    long decodeNanos,
    int peakPages,
    long peakCacheBytes,
    long cacheBytes,
    int slots) {

  /** Share of the batch limit that the average step fills, 0 to 1; 0 before the first step. */
  public double occupancy() {
    return steps == 0 ? 0 : (double) sequenceSteps / ((double) steps * slots);
  }
}
