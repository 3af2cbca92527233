package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;

/** What must hold before a time means anything. */
final class Check {
  private Check() {}

  /**
   * @throws BulkgenException INTERNAL if {@code actual} is not within {@code tolerance}; NaN never
   *     is
   */
  static void near(String what, double actual, double expected, double tolerance) {
    if (!(Math.abs(actual - expected) <= tolerance)) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "%s: %s, expected %s within %s; nothing of it was timed",
          what,
          actual,
          expected,
          tolerance);
    }
  }
}
