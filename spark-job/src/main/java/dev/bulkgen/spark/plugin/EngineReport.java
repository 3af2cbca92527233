package dev.bulkgen.spark.plugin;

import java.io.Serializable;
import org.apache.spark.SparkEnv;

/**
 * What an executor tells the driver of its engine, in a task's result.
 *
 * @param executor Spark's name for the process; {@code driver} where all runs in one
 */
public record EngineReport(String executor, EngineFigures figures) implements Serializable {

  /** To be called in a task. */
  public static EngineReport of(EngineGateway engine) {
    return new EngineReport(SparkEnv.get().executorId(), engine.figures());
  }
}
