package dev.bulkgen.spark.plugin;

import java.io.Serializable;

/**
 * What an engine has done so far, for progress and report.
 *
 * @param backend for people, such as {@code cpu (vector, 2 threads)}
 * @param memoryPlan a table for people
 * @param occupancy share of the batch limit that the average step fills, 0 to 1
 * @param peakCacheBytes most bytes of pages and windows in use at a time
 * @param plannedCacheBytes what the memory plan gives it
 */
public record EngineFigures(
    String backend,
    String memoryPlan,
    double occupancy,
    long peakCacheBytes,
    long plannedCacheBytes,
    long promptTokens,
    long generatedTokens)
    implements Serializable {}
