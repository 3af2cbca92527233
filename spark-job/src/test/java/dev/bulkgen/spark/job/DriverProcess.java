package dev.bulkgen.spark.job;

import dev.bulkgen.spark.ForkedJava;
import dev.bulkgen.spark.cli.Main;
import dev.bulkgen.spark.config.TaskType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** A driver in a JVM of its own, to be killed. */
final class DriverProcess {
  private DriverProcess() {}

  /**
   * @param task command that it runs
   * @param values settings by name
   * @param conf Spark settings, KEY=VALUE
   */
  static Process fork(TaskType task, Map<String, String> values, List<String> conf, Path log)
      throws IOException {
    List<String> command = ForkedJava.command("700m", Main.class);
    command.add(task.spelling());
    values.forEach(
        (name, value) -> command.add("--" + name + (value.equals("true") ? "" : "=" + value)));
    conf.forEach(entry -> command.add("--conf=" + entry));
    return new ProcessBuilder(command)
        .redirectErrorStream(true)
        .redirectOutput(log.toFile())
        .start();
  }
}
