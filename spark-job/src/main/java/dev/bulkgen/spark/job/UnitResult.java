package dev.bulkgen.spark.job;

import dev.bulkgen.spark.plugin.EngineReport;
import dev.bulkgen.spark.sink.UnitFacts;
import java.io.Serializable;

/**
 * What the task of a unit returns; the facts stand in the shard too, the engine's figures do not.
 */
record UnitResult(UnitFacts facts, EngineReport engine) implements Serializable {}
