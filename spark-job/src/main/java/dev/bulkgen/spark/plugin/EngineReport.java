package dev.bulkgen.spark.plugin;

import java.io.Serializable;
import org.apache.spark.SparkEnv;

/**
 * What an executor tells the driver of its engine.
 *
 * @param executor Spark's name for the process; {@code driver} where all runs in one
 * @param host that it is on
 * @param opened tells engines apart that followed each other there
 */
public record EngineReport(String executor, String host, long opened, EngineFigures figures)
    implements Serializable {

  /** To be called in a process of Spark. */
  public static EngineReport of(EngineGateway engine) {
    SparkEnv env = SparkEnv.get();
    String host = env.blockManager().blockManagerId().host();
    return new EngineReport(env.executorId(), host, engine.opened(), engine.figures());
  }
}
