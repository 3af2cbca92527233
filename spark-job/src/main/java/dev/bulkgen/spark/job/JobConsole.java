package dev.bulkgen.spark.job;

import java.io.PrintStream;

/**
 * Where a job talks to people.
 *
 * @param out plans and the report
 * @param err errors, and progress where {@code out} is no terminal
 * @param kind of {@code out}
 */
public record JobConsole(PrintStream out, PrintStream err, Kind kind) {
  /** What a stream goes to. */
  public enum Kind {
    TERMINAL,
    FILE
  }

  PrintStream progress() {
    return kind == Kind.TERMINAL ? out : err;
  }
}
