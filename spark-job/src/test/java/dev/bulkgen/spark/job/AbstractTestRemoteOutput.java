package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.JavaProcess;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.RunSettings.ResumeMode;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.ledger.Ledger;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whole jobs whose input, plan and output lie on a file system that is not this machine's. */
abstract class AbstractTestRemoteOutput {
  private static final int ROWS = 48;
  private static final int UNITS = 8;

  @TempDir static Path folder;

  static final SparkSession SPARK = Sessions.shared();

  /** The file system's root, with a slash at its end. */
  abstract String root();

  /** Settings that a driver needs to reach it. */
  abstract Map<String, String> settings();

  /** What a run has to live with: called while it is under way. */
  void disturb() throws Exception {}

  private static Map<String, byte[]> expected;

  private static synchronized Map<String, byte[]> expected(Path input) throws IOException {
    if (expected == null) {
      Path output = folder.resolve("expected");
      job(input.toString(), output.toString()).run();
      expected = JobRun.shards(output);
      assertEquals(UNITS, expected.size());
    }
    return expected;
  }

  private static JobRun job(String input, String output) {
    return new JobRun(SPARK, Path.of("unused"), Path.of("unused"))
        .with("input", input, "output", output, "unit-rows", String.valueOf(ROWS / UNITS));
  }

  private FileSystem files() throws IOException {
    Configuration configuration = SPARK.sparkContext().hadoopConfiguration();
    settings().forEach(configuration::set);
    return new org.apache.hadoop.fs.Path(root()).getFileSystem(configuration);
  }

  private Path localInput() throws IOException {
    Path input = folder.resolve("in.jsonl");
    return Files.exists(input) ? input : JobRun.prompts(input, ROWS);
  }

  /** The same prompts over there. */
  private String remoteInput() throws IOException {
    String input = root() + "in.jsonl";
    files()
        .copyFromLocalFile(
            new org.apache.hadoop.fs.Path(localInput().toUri()),
            new org.apache.hadoop.fs.Path(input));
    return input;
  }

  private List<String> names(String output) throws IOException {
    List<String> names = new ArrayList<>();
    org.apache.hadoop.fs.Path path = new org.apache.hadoop.fs.Path(output);
    if (files().exists(path)) {
      for (FileStatus entry : files().listStatus(path)) {
        names.add(entry.getPath().getName());
      }
    }
    return names;
  }

  private Map<String, byte[]> shards(String output) throws IOException {
    Map<String, byte[]> shards = new TreeMap<>();
    for (String name : names(output)) {
      if (name.startsWith("part-")) {
        try (FSDataInputStream in =
            files().open(new org.apache.hadoop.fs.Path(output + "/" + name))) {
          shards.put(name, in.readAllBytes());
        }
      }
    }
    return shards;
  }

  private void assertWhole(String output) throws IOException {
    Map<String, byte[]> expected = expected(localInput());
    Map<String, byte[]> actual = shards(output);
    assertEquals(expected.keySet(), actual.keySet());
    expected.forEach((name, bytes) -> assertArrayEquals(bytes, actual.get(name), name));
    List<String> names = names(output);
    assertTrue(names.contains("_SUCCESS"), names.toString());
    assertFalse(names.stream().anyMatch(name -> name.startsWith("_temporary")), names.toString());
    assertEquals(ROWS, SPARK.read().parquet(output).count());
  }

  private void awaitShards(String output, int shards, JavaProcess driver) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(150);
    while (shards(output).size() < shards) {
      assertTrue(driver == null || driver.isAlive(), "the driver ended too early");
      assertTrue(System.nanoTime() < deadline, "no shard in time");
      Thread.sleep(20);
    }
  }

  @Test
  void testAWholeJobGivesTheBytesOfALocalOne() throws Exception {
    String output = root() + "out whole";
    JobRun run = job(remoteInput(), output);
    expected(localInput());
    Exception[] problem = new Exception[1];
    Thread disturber =
        new Thread(
            () -> {
              try {
                awaitShards(output, 1, null);
                disturb();
              } catch (Exception e) {
                problem[0] = e;
              }
            });
    disturber.start();
    JobReport report = run.run();
    disturber.join();
    assertEquals(null, problem[0]);
    assertEquals(JobReport.Outcome.DONE, report.outcome());
    assertWhole(output);
  }

  @Test
  void testAKilledDriverIsTakenUp() throws Exception {
    String output = root() + "killed";
    JobRun run = job(remoteInput(), output);
    List<String> conf = new ArrayList<>();
    settings().forEach((name, value) -> conf.add("spark.hadoop." + name + "=" + value));
    Map<String, String> values = new TreeMap<>(run.values());
    // One slot: the kill comes before the last unit.
    values.put("master", "local[1]");
    JavaProcess driver =
        JavaProcess.job(TaskType.GENERATE, values, conf).start(folder.resolve("driver.log"));
    // Closing is SIGKILL: no hook runs, the lock stays behind.
    try (driver) {
      awaitShards(output, 2, driver);
    }
    int left = shards(output).size();
    assertFalse(names(output).contains("_SUCCESS"), "killed too late");
    JobReport report = run.run();
    assertEquals(UNITS, report.plannedUnits());
    assertEquals(left, report.reusedUnits(), driver::output);
    assertWhole(output);
  }

  @Test
  void testASecondDriverIsRefused() throws Exception {
    String output = root() + "locked";
    String input = remoteInput();
    try (Ledger held =
        Ledger.open(
            output,
            ResumeMode.IF_POSSIBLE,
            SPARK.sparkContext().hadoopConfiguration(),
            notice -> {})) {
      BulkgenException e = assertThrows(BulkgenException.class, () -> job(input, output).run());
      assertEquals(ErrorCode.OUTPUT_LOCKED, e.code());
      assertTrue(held.isBegun() || !names(output).contains("_SUCCESS"));
    }
    assertEquals(List.of(), names(output));
  }
}
