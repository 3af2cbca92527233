package dev.bulkgen.spark.api;

import dev.bulkgen.spark.job.JobReport;

/**
 * A job that is done.
 *
 * @param output the folder of the results
 */
public record FinishedJob(String output, JobReport report) {}
