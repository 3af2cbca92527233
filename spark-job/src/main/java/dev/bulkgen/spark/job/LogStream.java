package dev.bulkgen.spark.job;

import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.apache.logging.log4j.Level;
import org.apache.logging.log4j.Logger;

/** Puts each line that is printed into a log. */
final class LogStream extends OutputStream {
  private final Logger log;
  private final Level level;
  private final ByteArrayOutputStream line = new ByteArrayOutputStream();

  private LogStream(Logger log, Level level) {
    this.log = log;
    this.level = level;
  }

  static PrintStream of(Logger log, Level level) {
    return new PrintStream(new LogStream(log, level), true, StandardCharsets.UTF_8);
  }

  @Override
  public void write(int value) {
    if (value != '\n') {
      line.write(value);
      return;
    }
    log.log(level, "{}", line.toString(StandardCharsets.UTF_8));
    line.reset();
  }
}
