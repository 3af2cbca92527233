package dev.bulkgen.spark.job;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.engine.Engine;
import dev.bulkgen.engine.GenerateRequest;
import dev.bulkgen.engine.Prompt;
import dev.bulkgen.spark.cluster.RecallRows;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.TaskType;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.TreeMap;
import org.apache.spark.sql.SparkSession;

/**
 * What the job costs beside the bare engine: the same rows through both, in one process, by turns,
 * each from the settings to the last result, after a tenth of them to warm up. A program and no
 * test, for timings decide nothing:
 *
 * <pre>
 * mvn -Dfatbin.skip -pl spark-job -am test-compile
 * java … -cp … dev.bulkgen.spark.job.OverheadBench [rows] [facts a prompt] [max tokens] [rounds]
 * </pre>
 */
final class OverheadBench {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Path input;
  private final Path folder;
  private final JobSettings settings;

  private OverheadBench(Path folder, int rows, int facts, int maxTokens) throws IOException {
    this.folder = Files.createDirectories(folder);
    this.input = RecallRows.write(folder.resolve("in.jsonl"), rows, facts);
    this.settings = settings(folder.resolve("none"), maxTokens);
  }

  private JobSettings settings(Path output, int maxTokens) {
    TreeMap<String, String> values = new TreeMap<>();
    values.put("model", Path.of("examples/models/recall").toAbsolutePath().toString());
    values.put("input", input.toString());
    values.put("output", output.toString());
    values.put("id-column", "id");
    values.put("temperature", "0");
    values.put("max-tokens", String.valueOf(maxTokens));
    values.put("ignore-eos", "true");
    values.put("memory", "512MB");
    values.put("threads", "2");
    values.put("master", "local[2]");
    return JobSettingsReader.read(TaskType.GENERATE, values);
  }

  /** Seconds from opening the engine to the last row. */
  private double bare() throws IOException {
    long start = System.nanoTime();
    List<GenerateRequest> requests = new ArrayList<>();
    for (String line : Files.readAllLines(input)) {
      JsonNode row = JSON.readTree(line);
      requests.add(
          new GenerateRequest(
              row.get("id").asText(),
              new Prompt.Text(row.get("prompt").asText()),
              settings.sampling()));
    }
    try (Engine engine = Engine.open(settings.engine())) {
      engine.generateAll(requests);
      System.out.printf(
          Locale.ROOT,
          "bare engine: batch %.0f %% full, %,d tokens%n",
          100 * engine.metrics().occupancy(),
          engine.metrics().promptTokens() + engine.metrics().generatedTokens());
    }
    return (System.nanoTime() - start) / 1e9;
  }

  /** Seconds of the whole job; the session is there. */
  private double job(SparkSession session, int round, int maxTokens) {
    JobSettings mine = settings(folder.resolve("out" + round), maxTokens);
    PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream());
    long start = System.nanoTime();
    JobReport report =
        new BulkJob(session, mine, new JobConsole(nowhere, nowhere, JobConsole.Kind.FILE))
            .run()
            .orElseThrow();
    double seconds = (System.nanoTime() - start) / 1e9;
    System.out.printf(
        Locale.ROOT,
        "job: batch %.0f %% full, %.2f s of it in units, %d units%n",
        100 * report.engines().orElseThrow().occupancy(),
        report.seconds(),
        report.units().size());
    return seconds;
  }

  public static void main(String[] arguments) throws IOException {
    int rows = argument(arguments, 0, 4000);
    int facts = argument(arguments, 1, 20);
    int maxTokens = argument(arguments, 2, 8);
    int rounds = argument(arguments, 3, 3);
    Path folder = Files.createTempDirectory("bulkgen-overhead");
    OverheadBench warmUp = new OverheadBench(folder.resolve("warm"), rows / 10, facts, maxTokens);
    OverheadBench bench = new OverheadBench(folder.resolve("all"), rows, facts, maxTokens);
    try (SparkSession session =
        SparkSession.builder()
            .master("local[2]")
            .config("spark.ui.enabled", "false")
            .config("spark.driver.host", "127.0.0.1")
            .getOrCreate()) {
      warmUp.bare();
      warmUp.job(session, 0, maxTokens);
      System.out.println("warm");
      for (int round = 0; round < rounds; round++) {
        double bare = bench.bare();
        double job = bench.job(session, round, maxTokens);
        System.out.printf(
            Locale.ROOT,
            "%,d rows: bare engine %.2f s, job %.2f s, %+.1f %%%n",
            rows,
            bare,
            job,
            100 * (job / bare - 1));
      }
    }
  }

  private static int argument(String[] arguments, int index, int usual) {
    return arguments.length > index ? Integer.parseInt(arguments[index]) : usual;
  }
}
