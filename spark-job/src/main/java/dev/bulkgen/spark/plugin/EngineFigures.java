package dev.bulkgen.spark.plugin;

import dev.bulkgen.spark.config.TaskType;
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
 * @param usedPages in use at the newest step
 * @param pages of the memory plan
 * @param promptTokens prefilled
 * @param cachedTokens of prompts, which were not prefilled since another prompt began alike
 * @param swapOuts sequences that made room for others
 * @param queueDepth requests and sequences that wait for the batch
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
    long usedPages,
    long pages,
    long promptTokens,
    long cachedTokens,
    long generatedTokens,
    long swapOuts,
    long queueDepth,
    long failures)
    implements Serializable {

  /** Those that tell how fast the task goes: scores come of prefill alone. */
  public long tokens(TaskType task) {
    return task == TaskType.GENERATE ? generatedTokens : promptTokens;
  }

  /** Share of the batch limit that the average step fills, 0 to 1. */
  public double occupancy() {
    return places == 0 ? 0 : (double) sequenceSteps / places;
  }

  /** Share of the prompts' tokens that another prompt's prefill had done, 0 to 1. */
  public double prefixHits() {
    long all = promptTokens + cachedTokens;
    return all == 0 ? 0 : (double) cachedTokens / all;
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
        usedPages,
        pages,
        promptTokens - earlier.promptTokens,
        cachedTokens - earlier.cachedTokens,
        generatedTokens - earlier.generatedTokens,
        swapOuts - earlier.swapOuts,
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
                    one.usedPages + other.usedPages,
                    one.pages + other.pages,
                    one.promptTokens + other.promptTokens,
                    one.cachedTokens + other.cachedTokens,
                    one.generatedTokens + other.generatedTokens,
                    one.swapOuts + other.swapOuts,
                    one.queueDepth + other.queueDepth,
                    one.failures + other.failures));
  }
}
