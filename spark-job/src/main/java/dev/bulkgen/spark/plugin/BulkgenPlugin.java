package dev.bulkgen.spark.plugin;

import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * {@code spark.plugins=dev.bulkgen.spark.plugin.BulkgenPlugin}: engines begin to load when
 * executors start, and their figures are Spark metrics. Settings of the engine are Spark's, by the
 * names of the command line: {@code spark.bulkgen.model}, {@code spark.bulkgen.kv-cache}. Without
 * {@code spark.bulkgen.model} an engine loads when the first job asks for it.
 */
public final class BulkgenPlugin implements SparkPlugin {
  @Override
  public DriverPlugin driverPlugin() {
    return new BulkgenDriverPlugin();
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return new BulkgenExecutorPlugin();
  }
}
