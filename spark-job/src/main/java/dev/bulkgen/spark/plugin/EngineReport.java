package dev.bulkgen.spark.plugin;

import java.io.Serializable;
import java.util.Optional;
import org.apache.spark.SparkEnv;

/**
 * What an executor tells the driver of its engine.
 *
 * @param executor Spark's name for the process; {@code driver} where all runs in one
 * @param host that it is on
 */
public record EngineReport(String executor, String host, EngineFigures figures)
    implements Serializable {

  /** To be called in a process of Spark. */
  public static EngineReport of(EngineFigures figures) {
    SparkEnv env = SparkEnv.get();
    return new EngineReport(env.executorId(), env.blockManager().blockManagerId().host(), figures);
  }

  /** That of this process, once its engine is loaded. */
  static Optional<EngineReport> current() {
    return EngineHolder.figures().map(EngineReport::of);
  }
}
