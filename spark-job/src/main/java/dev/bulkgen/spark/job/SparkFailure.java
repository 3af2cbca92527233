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
    if (isInterrupt(e)) {
      return interrupt(e);
    }
    return new BulkgenException(ErrorCode.INTERNAL, "the Spark job failed: " + e.getMessage(), e);
  }

  /** Whether the driver's thread was interrupted; what tasks throw lies deeper. */
  static boolean isInterrupt(Exception e) {
    return e instanceof InterruptedException || e.getCause() instanceof InterruptedException;
  }

  /** Its cause is an InterruptedException, by which streams tell that they were stopped. */
  static BulkgenException interrupt(Exception e) {
    Throwable cause = e;
    if (!isInterrupt(e)) {
      cause = new InterruptedException("while a Spark job ended").initCause(e);
    }
    return new BulkgenException(
        ErrorCode.INTERNAL,
        "interrupted; finished units are kept, and the same call again runs the rest",
        cause);
  }
}
