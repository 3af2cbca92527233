package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.Sessions;
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

  private void awaitAShard(String output) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(150);
    while (shards(output).isEmpty()) {
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
                awaitAShard(output);
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
}
