package dev.bulkgen.spark.job;

import dev.bulkgen.spark.plugin.EngineFigures;

/**
 * An executor with its engine, in a job.
 *
 * @param seconds that it was there while units ran
 */
record DeviceUse(String executor, String host, EngineFigures figures, double seconds) {

  double tokensPerSecond() {
    return seconds > 0 ? figures.generatedTokens() / seconds : 0;
  }
}
