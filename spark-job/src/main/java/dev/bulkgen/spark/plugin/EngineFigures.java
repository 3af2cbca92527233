package dev.bulkgen.spark.plugin;

import java.io.Serializable;
import java.util.Collection;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * What an engine has done so far, for progress, metrics and report.
 *
 * @param backend for people, such as {@code cpu (vector, 2 threads)}
 * @param memoryPlan a table for people
 * @param sequenceSteps sequences of all steps added up
 * @param places sequences that all steps could have had at the batch limit
 * @param peakCacheBytes most bytes of pages and windows in use at a time
 * @param plannedCacheBytes what the memory plan gives it
 * @param cacheBytesPerToken of all layers, windows aside
 * @param peakPages most pages in use at a time
 * @param pages of the memory plan
 * @param queueDepth requests that wait for the batch
 * @param failures requests that failed
 */
public record EngineFigures(
    String backend,
    String memoryPlan,
    long sequenceSteps,
    long places,
    long peakCacheBytes,
    long plannedCacheBytes,
    double cacheBytesPerToken,
    long peakPages,
    long pages,
    long promptTokens,
    long generatedTokens,
    long queueDepth,
    long failures)
    implements Serializable {

  /** Share of the batch limit that the average step fills, 0 to 1. */
  public double occupancy() {
    return places == 0 ? 0 : (double) sequenceSteps / places;
  }

  /** What came after {@code earlier}; peaks stay those of the engine's life. */
  public EngineFigures since(EngineFigures earlier) {
    return new EngineFigures(
        backend,
        memoryPlan,
        sequenceSteps - earlier.sequenceSteps,
        places - earlier.places,
        peakCacheBytes,
        plannedCacheBytes,
        cacheBytesPerToken,
        peakPages,
        pages,
        promptTokens - earlier.promptTokens,
        generatedTokens - earlier.generatedTokens,
        queueDepth,
        failures - earlier.failures);
  }

  /** Those of several engines added up; the peaks need not have been at the same time. */
  public static Optional<EngineFigures> total(Collection<EngineFigures> engines) {
    String backends =
        engines.stream()
            .map(EngineFigures::backend)
            .distinct()
            .sorted()
            .collect(Collectors.joining("; "));
    String plans = engines.stream().map(EngineFigures::memoryPlan).collect(Collectors.joining());
    return engines.stream()
        .reduce(
            (one, other) ->
                new EngineFigures(
                    backends,
                    plans,
                    one.sequenceSteps + other.sequenceSteps,
                    one.places + other.places,
                    one.peakCacheBytes + other.peakCacheBytes,
                    one.plannedCacheBytes + other.plannedCacheBytes,
                    one.cacheBytesPerToken,
                    one.peakPages + other.peakPages,
                    one.pages + other.pages,
                    one.promptTokens + other.promptTokens,
                    one.generatedTokens + other.generatedTokens,
                    one.queueDepth + other.queueDepth,
                    one.failures + other.failures));
  }
}
