package dev.bulkgen.spark.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bulkgen.spark.JavaProcess;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.source.PromptSource;
import dev.bulkgen.spark.source.PromptTable;
import dev.bulkgen.spark.storage.Storage;
import java.io.BufferedWriter;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Plans many short rows in one JVM with 2 GB of heap and two cores, and prints what it took. Not
 * one of the tests that always run: {@code mvn -pl spark-job -am test -Dtest=BenchUnitPlanner
 * -Dsurefire.failIfNoSpecifiedTests=false -Dplan.rows=10000000}.
 */
class BenchUnitPlanner {
  private static final String ROWS = "plan.rows";
  private static final int USUAL_ROWS = 10_000_000;
  private static final long MOST_SECONDS = 3600;
  private static final String[] WORDS =
      "name the river that flows through a city and say in one word what colour it has".split(" ");

  @TempDir Path folder;

  @Test
  void benchPlan() throws Exception {
    String rows = System.getProperty(ROWS, String.valueOf(USUAL_ROWS));
    JavaProcess planner =
        JavaProcess.of(BenchUnitPlanner.class.getName(), folder.toString(), rows)
            .option("-Xmx2g")
            .start(folder.resolve("log"));
    assertEquals(0, planner.waitFor(MOST_SECONDS), planner::output);
    System.out.print(planner.output());
  }

  /** The measured process: a folder and the number of rows. */
  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    int rows = Integer.parseInt(arguments[1]);
    Path input = write(folder.resolve("prompts.jsonl"), rows);
    SparkSession spark =
        SparkSession.builder()
            .master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.local.dir", folder.toString())
            .config("spark.sql.session.timeZone", "UTC")
            .getOrCreate();
    JobSettings settings =
        JobSettingsReader.read(
            TaskType.GENERATE,
            Map.of(
                "model",
                "none",
                "input",
                "" + input,
                "output",
                "" + folder.resolve("out"),
                "max-tokens",
                "32"));
    long start = System.nanoTime();
    PromptTable table = PromptSource.open(spark, settings.input());
    double opened = seconds(start);
    UnitPlanner planner = UnitPlanner.measure(spark, settings, table);
    double measured = seconds(start);
    org.apache.hadoop.fs.Path plans =
        new org.apache.hadoop.fs.Path(folder.resolve("plan").toString());
    UnitPlan plan = new PlanFolder(Storage.of(plans, new Configuration()), plans).freeze(planner);
    double frozen = seconds(start);
    spark.stop();
    // Surefire talks to its own process through the standard output.
    System.err.printf(
        Locale.ROOT,
        "%,d rows (%,d MB) in %,d units: opened %.1f s, measured %.1f s, written %.1f s,"
            + " together %.1f s, %.0f s of the processor; heap peak %,d MB, process peak %s%n",
        plan.rows(),
        Files.size(input) >> 20,
        plan.units().size(),
        opened,
        measured - opened,
        frozen - measured,
        frozen,
        ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO).toSeconds() * 1.0,
        heapPeak() >> 20,
        processPeak());
    if (plan.rows() != rows) {
      throw new IllegalStateException("rows are missing");
    }
  }

  private static double seconds(long start) {
    return (System.nanoTime() - start) / 1e9;
  }

  private static long heapPeak() {
    return ManagementFactory.getMemoryPoolMXBeans().stream()
        .filter(pool -> pool.getType() == MemoryType.HEAP)
        .map(MemoryPoolMXBean::getPeakUsage)
        .mapToLong(usage -> usage.getUsed())
        .sum();
  }

  private static String processPeak() throws IOException {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("VmHWM"))
        .findFirst()
        .map(line -> line.replaceAll("\\s+", " "))
        .orElse("unknown");
  }

  private static Path write(Path file, int rows) throws IOException {
    Random random = new Random(11);
    try (BufferedWriter out = Files.newBufferedWriter(file)) {
      for (int row = 0; row < rows; row++) {
        out.append("{\"prompt\":\"").append(String.valueOf(row));
        for (int word = 4 + random.nextInt(9); word > 0; word--) {
          out.append(' ').append(WORDS[random.nextInt(WORDS.length)]);
        }
        out.append("\",\"n\":").append(String.valueOf(row % 1000)).append("}\n");
      }
    }
    return file;
  }
}
