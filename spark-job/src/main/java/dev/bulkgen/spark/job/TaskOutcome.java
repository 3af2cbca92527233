package dev.bulkgen.spark.job;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.error.ErrorKind;
import java.io.Serializable;
import java.util.Set;
import java.util.function.Supplier;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;

/**
 * What a task came to. An error of the user's is a result: what a task throws, Spark tries again
 * {@code spark.task.maxFailures} times, and no attempt can help.
 */
sealed interface TaskOutcome<T> extends Serializable {
  /** Another attempt may be on a sound node ({@code spark.excludeOnFailure.enabled}). */
  Set<ErrorCode> OF_ONE_NODE = Set.of(ErrorCode.DEVICE_UNAVAILABLE, ErrorCode.NODE_DIFFERS);

  record Done<T>(T value) implements TaskOutcome<T> {
    @Override
    public T get() {
      return value;
    }
  }

  /** The trace stays in the executor's log: its classes may be unknown to the driver. */
  record Refused<T>(ErrorCode code, String message) implements TaskOutcome<T> {
    private static final Logger LOG = LogManager.getLogger(TaskOutcome.class);

    @Override
    public T get() {
      throw new BulkgenException(code, message);
    }
  }

  /**
   * @throws BulkgenException that a retry may help
   */
  static <T> TaskOutcome<T> of(Supplier<T> work) {
    try {
      return new Done<>(work.get());
    } catch (BulkgenException e) {
      if (e.kind() != ErrorKind.USER || OF_ONE_NODE.contains(e.code())) {
        throw e;
      }
      Refused.LOG.error("the job ends: {}", e.getMessage(), e);
      return new Refused<>(e.code(), e.getMessage());
    }
  }

  /**
   * @throws BulkgenException the user's error
   */
  T get();
}
