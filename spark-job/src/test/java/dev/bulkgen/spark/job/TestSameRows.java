package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.cli.Main;
import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** P1: the same 200 rows whatever the batch, the units, the cores, and however often killed. */
class TestSameRows {
  private static final int ROWS = 200;

  @TempDir static Path folder;

  private static SparkSession spark;
  private static Path input;
  private static List<String> expected;

  @BeforeAll
  static void runOnce() throws IOException {
    spark = Sessions.shared();
    input = JobRun.prompts(folder.resolve("prompts.jsonl"), ROWS);
    sampled(spark, folder.resolve("first")).with("max-batch", "64", "unit-rows", "25").run();
    expected = JobRun.rows(spark, folder.resolve("first"));
    assertEquals(ROWS, expected.size());
  }

  @AfterAll
  static void stop() {
    spark.stop();
  }

  private static JobRun sampled(SparkSession session, Path output) {
    return new JobRun(session, input, output)
        .with("temperature", "1", "max-tokens", "6", "kv-cache", "kivi2", "id-column", "id");
  }

  @ParameterizedTest
  @CsvSource({"1,67", "7,200", "64,67"})
  void testBatchAndUnitsChangeNothing(String maxBatch, String unitRows) {
    Path output = folder.resolve("batch-" + maxBatch + "-" + unitRows);
    JobReport report =
        sampled(spark, output).with("max-batch", maxBatch, "unit-rows", unitRows).run();
    assertEquals(
        (ROWS + Integer.parseInt(unitRows) - 1) / Integer.parseInt(unitRows),
        report.plannedUnits());
    assertEquals(expected, JobRun.rows(spark, output));
  }

  @Test
  void testSeedChangesRows() {
    Path output = folder.resolve("seed");
    sampled(spark, output).with("seed", "1").run();
    assertNotEquals(expected, JobRun.rows(spark, output));
  }

  @Test
  void testOneCoreAndAKillChangeNothing() throws Exception {
    Path output = folder.resolve("killed");
    JobRun run =
        sampled(spark, output).with("master", "local[1]", "max-batch", "4", "unit-rows", "25");
    Process driver = fork(run.values());
    try {
      awaitFirstShard(driver, output);
      Thread.sleep(new Random().nextInt(300));
    } finally {
      // SIGKILL: no hook runs, the lock stays behind.
      driver.destroyForcibly().waitFor(20, TimeUnit.SECONDS);
    }
    assertFalse(Files.exists(output.resolve("_SUCCESS")), "killed too late");
    JobReport report = sampled(spark, output).with("unit-rows", "25").run();
    assertTrue(report.reusedUnits() >= 1, "nothing was reused");
    assertTrue(report.reusedUnits() < 8, "nothing was left to do");
    assertEquals(expected, JobRun.rows(spark, output));
    // Shards are named alike and hold the same rows in the same order: checksums are part of this.
    assertEquals(JobRun.shards(folder.resolve("first")).keySet(), JobRun.shards(output).keySet());
    assertEquals(units(folder.resolve("first")), units(output));
    Set<String> ids = new HashSet<>();
    JobRun.read(spark, output).forEach(row -> ids.add(row.getAs("id")));
    assertEquals(ROWS, ids.size());
  }

  private static String units(Path output) throws IOException {
    return Files.readString(output.resolve("_bulkgen/units.jsonl"));
  }

  private static Process fork(Map<String, String> values) throws IOException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    for (String option : ManagementFactory.getRuntimeMXBean().getInputArguments()) {
      if (option.startsWith("--") || option.startsWith("-XX:+Ignore")) {
        command.add(option);
      }
    }
    String classPath =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    command.addAll(List.of("-Xmx700m", "-cp", classPath, Main.class.getName(), "generate"));
    values.forEach((name, value) -> command.add("--" + name + "=" + value));
    File log = folder.resolve("driver.log").toFile();
    return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log).start();
  }

  private static void awaitFirstShard(Process driver, Path output) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(180);
    while (!Files.isDirectory(output) || JobRun.shards(output).isEmpty()) {
      String log = Files.readString(folder.resolve("driver.log"));
      assertTrue(driver.isAlive(), "the driver ended before its first shard: " + log);
      assertTrue(System.nanoTime() < deadline, "no shard in time: " + log);
      Thread.sleep(20);
    }
  }
}
