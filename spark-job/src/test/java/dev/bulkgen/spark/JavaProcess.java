package dev.bulkgen.spark;

import dev.bulkgen.spark.cli.Main;
import dev.bulkgen.spark.config.TaskType;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A Java process with this one's options, whose output goes to a file. */
public final class JavaProcess implements AutoCloseable {
  private static final long MOST_SECONDS = 600;

  private final List<String> options = new ArrayList<>();
  private final List<String> program;
  private final Map<String, String> environment = new LinkedHashMap<>();
  private String classPath = System.getProperty("java.class.path");
  private Path log;
  private Process process;

  private JavaProcess(List<String> program) {
    this.program = program;
  }

  public static JavaProcess of(String mainClass, String... arguments) {
    List<String> program = new ArrayList<>(List.of(mainClass));
    program.addAll(List.of(arguments));
    return new JavaProcess(program);
  }

  /**
   * A driver of the command line, small enough to be one of several.
   *
   * @param task command that it runs
   * @param values settings by name
   * @param conf of Spark, KEY=VALUE
   */
  public static JavaProcess job(TaskType task, Map<String, String> values, List<String> conf) {
    List<String> arguments = new ArrayList<>(List.of(task.spelling()));
    values.forEach(
        (name, value) -> arguments.add("--" + name + (value.equals("true") ? "" : "=" + value)));
    conf.forEach(entry -> arguments.add("--conf=" + entry));
    return of(Main.class.getName(), arguments.toArray(String[]::new)).option("-Xmx700m");
  }

  public JavaProcess option(String... more) {
    options.addAll(List.of(more));
    return this;
  }

  public JavaProcess classPath(String path) {
    classPath = path;
    return this;
  }

  public JavaProcess environment(Map<String, String> variables) {
    environment.putAll(variables);
    return this;
  }

  public JavaProcess start(Path logFile) throws IOException {
    log = logFile;
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(moduleOptions());
    command.addAll(options);
    command.add("-cp");
    command.add(classPath);
    command.addAll(program);
    ProcessBuilder builder = new ProcessBuilder(command);
    builder.environment().putAll(environment);
    process =
        builder
            .redirectErrorStream(true)
            .redirectOutput(ProcessBuilder.Redirect.appendTo(log.toFile()))
            .start();
    return this;
  }

  /** The options that Spark needs, as this process was given them. */
  private static List<String> moduleOptions() {
    return ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
        .filter(option -> option.matches("-XX:\\+Ignore.*|--.*|-Dio\\.netty.*"))
        .toList();
  }

  /** The exit code. */
  public int waitFor() throws InterruptedException {
    return waitFor(MOST_SECONDS);
  }

  public int waitFor(long mostSeconds) throws InterruptedException {
    if (!process.waitFor(mostSeconds, TimeUnit.SECONDS)) {
      process.destroyForcibly();
      throw new IllegalStateException(program.get(0) + " does not end:\n" + output());
    }
    return process.exitValue();
  }

  public boolean isAlive() {
    return process.isAlive();
  }

  public void kill() throws InterruptedException {
    process.destroyForcibly();
    process.waitFor();
  }

  public String output() {
    try {
      return Files.readString(log, StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public void close() throws InterruptedException {
    kill();
  }
}
