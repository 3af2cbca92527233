package dev.bulkgen.spark.job;

import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.sink.UnitFacts;
import java.io.Serializable;
import org.apache.spark.SparkContext;
import org.apache.spark.util.LongAccumulator;

/** What tasks add up as they end; Spark's UI shows it for each task and stage. */
record UnitCounters(
    LongAccumulator rows,
    LongAccumulator failedRows,
    LongAccumulator promptTokens,
    LongAccumulator completionTokens)
    implements Serializable {

  static UnitCounters register(SparkContext spark, TaskType task) {
    return new UnitCounters(
        spark.longAccumulator("rows"),
        spark.longAccumulator("failed rows"),
        spark.longAccumulator("prompt tokens"),
        spark.longAccumulator(task.tokens()));
  }

  void add(UnitFacts facts) {
    rows.add(facts.rows());
    failedRows.add(facts.failedRows());
    promptTokens.add(facts.promptTokens());
    completionTokens.add(facts.completionTokens());
  }
}
