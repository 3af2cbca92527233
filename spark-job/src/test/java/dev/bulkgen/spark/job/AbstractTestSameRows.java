package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.spark.JavaProcess;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.TaskType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * P1: the 200 rows of the example are the same whatever the batch, the units, the cores, and
 * however often the driver was killed; files of the same units are the same to the byte.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class AbstractTestSameRows {
  private static final int ROWS = 200;
  static final Path INPUT = Path.of("../examples/prompts.jsonl").toAbsolutePath().normalize();

  @TempDir static Path folder;

  private final TaskType task;
  final SparkSession spark = Sessions.shared();
  private Path first;
  List<String> expected;

  AbstractTestSameRows(TaskType task) {
    this.task = task;
  }

  /** The job that is run in many ways. */
  abstract JobRun job(Path output);

  @BeforeAll
  void runOnce() {
    first = folder.resolve("first");
    JobReport report = job(first).with("max-batch", "64", "unit-rows", "25").run();
    assertEquals(8, report.plannedUnits());
    expected = JobRun.rows(spark, first);
    assertEquals(ROWS, expected.size());
  }

  @ParameterizedTest
  @CsvSource({"1,67,3", "7,200,1"})
  void testBatchAndUnitsChangeNothing(String maxBatch, String unitRows, int units) {
    Path output = folder.resolve("batch-" + maxBatch);
    JobReport report = job(output).with("max-batch", maxBatch, "unit-rows", unitRows).run();
    assertEquals(units, report.plannedUnits());
    assertEquals(expected, JobRun.rows(spark, output));
  }

  @Test
  void testOneCoreAndAKillChangeNothing() throws Exception {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    Path output = folder.resolve("killed");
    Map<String, String> values =
        job(output)
            .with("master", "local[1]", "max-batch", "7", "unit-rows", "25", "threads", "1")
            .values();
    // Closing is SIGKILL: no hook runs, the lock stays behind.
    try (JavaProcess driver = start(values)) {
      awaitShards(driver, output, random.nextInt(6));
      Thread.sleep(random.nextInt(500));
    }
    String which = "seed " + seed;
    assertFalse(Files.exists(output.resolve("_SUCCESS")), "killed too late, " + which);
    int left = Files.isDirectory(output) ? JobRun.shards(output).size() : 0;
    JavaProcess again = start(values);
    assertEquals(0, again.waitFor(), () -> which + again.output());
    JsonNode report = new ObjectMapper().readTree(output.resolve("_bulkgen/report.json").toFile());
    assertEquals(left, report.get("units_reused").asInt(), which);
    assertEquals(expected, JobRun.rows(spark, output), which);
    JobRun.assertSameShards(JobRun.shards(first), JobRun.shards(output));
    assertEquals(units(first), units(output), which);
  }

  private static String units(Path output) throws IOException {
    return Files.readString(output.resolve("_bulkgen/units.jsonl"));
  }

  private JavaProcess start(Map<String, String> values) throws IOException {
    return JavaProcess.job(task, values, List.of()).start(folder.resolve("driver.log"));
  }

  /** 0 shards: as soon as the folder is there, most likely while the plan is made. */
  private static void awaitShards(JavaProcess driver, Path output, int shards) throws Exception {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(180);
    while (!Files.isDirectory(output) || JobRun.shards(output).size() < shards) {
      assertTrue(driver.isAlive(), () -> "the driver ended too early: " + driver.output());
      assertTrue(System.nanoTime() < deadline, () -> "no shard in time: " + driver.output());
      Thread.sleep(20);
    }
  }
}
