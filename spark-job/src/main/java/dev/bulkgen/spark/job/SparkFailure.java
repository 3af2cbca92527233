package dev.bulkgen.spark.job;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;

/** Why a Spark job failed. */
final class SparkFailure {
  private SparkFailure() {}

  /** The exception of ours that a task threw, if one is the cause. */
  static BulkgenException cause(Exception e) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof BulkgenException known) {
        return known;
      }
    }
    return new BulkgenException(ErrorCode.INTERNAL, "the Spark job failed: " + e.getMessage(), e);
  }
}
