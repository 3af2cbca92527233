package dev.bulkgen.spark.job;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.OptionalInt;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.resource.ExecutorResourceRequests;
import org.apache.spark.resource.ResourceProfile;
import org.apache.spark.resource.ResourceProfileBuilder;
import org.apache.spark.resource.TaskResourceRequests;

/**
 * GPUs for the generation stage alone ({@code --gpu-slots}), by Spark's stage-level scheduling.
 * With dynamic allocation the stage gets executors of its own, with a GPU each; without, it takes
 * the executors there are, and more or fewer of its tasks share a GPU than of other stages.
 */
final class StageResources {
  private static final String GPU = "spark.executor.resource.gpu.";

  private final SparkContext spark;
  private final OptionalInt slots;

  StageResources(SparkContext spark, OptionalInt slots) {
    this.spark = spark;
    this.slots = slots;
  }

  /**
   * @throws BulkgenException SETTING_INVALID where the master knows no such scheduling
   */
  <T> JavaRDD<T> apply(JavaRDD<T> stage) {
    if (slots.isEmpty()) {
      return stage;
    }
    if (spark.isLocal()) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID,
          "gpu-slots: %s has no executors to ask GPUs of; leave it out",
          spark.master());
    }
    try {
      return stage.withResources(profile(spark.getConf()));
    } catch (Exception e) {
      // Scala code throws checked exceptions unannounced.
      throw refused(e);
    }
  }

  private ResourceProfile profile(SparkConf conf) {
    ResourceProfileBuilder builder = new ResourceProfileBuilder();
    builder.require(
        new TaskResourceRequests()
            .cpus(conf.getInt("spark.task.cpus", 1))
            .resource("gpu", 1.0 / slots.getAsInt()));
    if (conf.getBoolean("spark.dynamicAllocation.enabled", false)) {
      ExecutorResourceRequests executor = new ExecutorResourceRequests();
      executor.resource(
          "gpu", 1, conf.get(GPU + "discoveryScript", ""), conf.get(GPU + "vendor", ""));
      executor.cores(conf.getInt("spark.executor.cores", slots.getAsInt()));
      executor.memory(conf.get("spark.executor.memory", "1g"));
      if (conf.contains("spark.executor.memoryOverhead")) {
        executor.memoryOverhead(conf.get("spark.executor.memoryOverhead"));
      }
      builder.require(executor);
    }
    return builder.build();
  }

  private BulkgenException refused(Exception e) {
    return new BulkgenException(
        ErrorCode.SETTING_INVALID,
        "gpu-slots: stage-level scheduling is not to be had on "
            + spark.master()
            + " ("
            + e.getMessage()
            + "); leave it out and set spark.task.resource.gpu.amount",
        e);
  }
}
