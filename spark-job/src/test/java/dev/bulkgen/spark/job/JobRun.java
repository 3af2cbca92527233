package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.TaskType;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** One run of a job with the real engine on a tiny trained model. */
public final class JobRun {
  private static final String[] NAMES =
      "ada alan alice amir ana anders anita anna ari arun astrid aya ben bianca boris".split(" ");

  public static final String MODEL =
      Path.of("../examples/models/recall").toAbsolutePath().normalize().toString();

  private final SparkSession session;
  private final TreeMap<String, String> values = new TreeMap<>();
  private TaskType task = TaskType.GENERATE;
  private final ByteArrayOutputStream text = new ByteArrayOutputStream();

  JobRun(SparkSession session, Path input, Path output) {
    this.session = session;
    values.put("model", MODEL);
    values.put("input", input.toString());
    values.put("output", output.toString());
    values.put("max-tokens", "4");
    values.put("temperature", "0");
    values.put("memory", "256MB");
    values.put("max-batch", "16");
    values.put("threads", "2");
  }

  /** Scores instead; without the settings of sampling. */
  JobRun scoring() {
    task = TaskType.SCORE;
    values.keySet().removeAll(List.of("max-tokens", "temperature"));
    return this;
  }

  JobRun with(String... pairs) {
    for (int index = 0; index < pairs.length; index += 2) {
      values.put(pairs[index], pairs[index + 1]);
    }
    return this;
  }

  JobSettings settings() {
    return JobSettingsReader.read(task, values);
  }

  Map<String, String> values() {
    return values;
  }

  JobReport run() {
    PrintStream stream = new PrintStream(text, true, StandardCharsets.UTF_8);
    JobConsole console = new JobConsole(stream, stream, JobConsole.Kind.FILE);
    return new BulkJob(session, settings(), console).run().orElse(null);
  }

  /** What was said. */
  String text() {
    return text.toString(StandardCharsets.UTF_8);
  }

  /** Rows as JSON, sorted: what is there, whatever file it is in. */
  public static List<String> rows(SparkSession session, Path output) {
    List<String> rows =
        new ArrayList<>(session.read().parquet(output.toString()).toJSON().collectAsList());
    rows.sort(null);
    return rows;
  }

  public static List<Row> read(SparkSession session, Path output) {
    return session.read().parquet(output.toString()).collectAsList();
  }

  public static Map<String, byte[]> shards(Path output) throws IOException {
    Map<String, byte[]> shards = new TreeMap<>();
    try (Stream<Path> files = Files.list(output)) {
      for (Path file : files.filter(f -> f.getFileName().toString().startsWith("part-")).toList()) {
        shards.put(file.getFileName().toString(), Files.readAllBytes(file));
      }
    }
    return shards;
  }

  public static void assertSameShards(Map<String, byte[]> expected, Map<String, byte[]> actual) {
    assertFalse(expected.isEmpty());
    assertEquals(expected.keySet(), actual.keySet());
    expected.forEach((name, bytes) -> assertArrayEquals(bytes, actual.get(name), name));
  }

  /** Documents of facts that ask for one of them, as the model was trained on. */
  public static Path prompts(Path file, int count) throws IOException {
    Random random = new Random(7);
    List<String> lines = new ArrayList<>();
    for (int row = 0; row < count; row++) {
      List<String> words = new ArrayList<>();
      int facts = 2 + random.nextInt(12);
      int asked = random.nextInt(facts);
      String answer = "";
      for (int fact = 0; fact < facts; fact++) {
        String value = String.format(Locale.ROOT, "%02d", random.nextInt(100));
        words.addAll(List.of(NAMES[fact], value, "."));
        answer = fact == asked ? value : answer;
      }
      words.add(NAMES[asked]);
      lines.add(
          String.format(
              Locale.ROOT,
              "{\"id\":\"r%03d\",\"prompt\":\"%s\",\"answer\":\"%s\"}",
              row,
              String.join(" ", words),
              answer));
    }
    return Files.write(file, lines);
  }
}
