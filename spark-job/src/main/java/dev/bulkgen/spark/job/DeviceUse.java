package dev.bulkgen.spark.job;

import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.plugin.EngineFigures;

/**
 * An executor with its engine, in a job.
 *
 * @param seconds that it was there while units ran
 */
record DeviceUse(String executor, String host, EngineFigures figures, double seconds) {

  double tokensPerSecond(TaskType task) {
    return seconds > 0 ? figures.tokens(task) / seconds : 0;
  }
}
