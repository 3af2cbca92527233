package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.Sessions;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What holds of shards holds in every format. */
class TestOutputFormats {
  private static final SparkSession SPARK = Sessions.shared();

  @TempDir Path folder;

  private Path input() throws IOException {
    List<String> lines =
        new ArrayList<>(Files.readAllLines(JobRun.prompts(folder.resolve("p"), 7)));
    lines.set(1, "{\"id\":\"bad\",\"prompt\":\"\",\"answer\":null}");
    return Files.write(folder.resolve("in.jsonl"), lines);
  }

  private JobRun job(Path input, Path output, String format, String compression) {
    return new JobRun(SPARK, input, output)
        .with("output-format", format, "compression", compression)
        .with("unit-rows", "3", "id-column", "id", "max-error-rate", "1", "max-tokens", "2");
  }

  /** Every file that a reader or a resumed run looks at. */
  private static Map<String, String> files(Path output) throws IOException {
    Map<String, String> files = new TreeMap<>();
    try (Stream<Path> found = Files.walk(output)) {
      for (Path file : found.filter(Files::isRegularFile).toList()) {
        String name = output.relativize(file).toString();
        boolean isSetAside = name.startsWith("_bulkgen/set-aside");
        if (!isSetAside && file.getFileName().toString().startsWith("part-")) {
          files.put(name, HexFormat.of().formatHex(Files.readAllBytes(file)));
        }
      }
    }
    return files;
  }

  @ParameterizedTest
  @CsvSource({
    "parquet, lz4, 3",
    "arrow, zstd, 3",
    "arrow, uncompressed, 3",
    "jsonl, uncompressed, 6",
    "openai-batch, uncompressed, 7"
  })
  void testDamagedAndHalfWrittenShardsAreMadeAgain(String format, String compression, int expected)
      throws Exception {
    Path input = input();
    Path output = folder.resolve("out");
    job(input, output, format, compression).run();
    Map<String, String> files = files(output);
    assertEquals(expected, files.size(), files.keySet().toString());
    Path again = folder.resolve("again");
    job(input, again, format, compression).with("threads", "1", "max-batch", "3").run();
    assertEquals(files, files(again));
    for (String name : files.keySet()) {
      flip(output.resolve(name), 0.4);
      assertMadeAgain(job(input, output, format, compression), name, output, files);
      Files.delete(output.resolve(name));
      assertMadeAgain(job(input, output, format, compression), name, output, files);
    }
  }

  private static void flip(Path file, double where) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    bytes[(int) (where * bytes.length)] ^= 4;
    Files.write(file, bytes);
  }

  private static void assertMadeAgain(
      JobRun run, String damaged, Path output, Map<String, String> files) throws IOException {
    JobReport report = run.run();
    assertEquals(2, report.reusedUnits(), damaged + ": " + run.text());
    assertEquals(files, files(output), damaged);
    assertTrue(Files.exists(output.resolve("_SUCCESS")));
  }
}
