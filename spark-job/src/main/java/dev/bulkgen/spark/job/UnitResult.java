package dev.bulkgen.spark.job;

import dev.bulkgen.spark.plugin.EngineReport;
import dev.bulkgen.spark.sink.UnitFacts;
import java.io.Serializable;

/**
 * What the task of a unit returns; the facts stand in the shard too, the rest does not.
 *
 * @param seconds that the attempt which ended well took, its rows beside those of others
 */
record UnitResult(UnitFacts facts, EngineReport engine, double seconds) implements Serializable {}
