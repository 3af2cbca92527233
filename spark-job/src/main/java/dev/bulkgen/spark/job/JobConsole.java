package dev.bulkgen.spark.job;

import java.io.PrintStream;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.Logger;

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

  /** Where nobody watches a console: plans, progress and warnings go into a log. */
  public static JobConsole log(Logger log) {
    PrintStream lines = LogStream.of(log, Level.INFO);
    return new JobConsole(lines, lines, Kind.FILE);
  }

  PrintStream progress() {
    return kind == Kind.TERMINAL ? out : err;
  }
}
