package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.DuckDb;
import dev.bulkgen.spark.NodeArrow;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.OutputFormat;
import dev.bulkgen.spark.config.OutputSettings.Compression;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Every format with every codec it takes, as readers see it that are not ours. */
class TestCompression {
  private static final int ROWS = 5;

  @TempDir Path folder;

  private Path input;
  private Path output;

  @BeforeEach
  void prepare() throws Exception {
    input = JobRun.prompts(folder.resolve("in.jsonl"), ROWS);
    output = folder.resolve("out");
  }

  private JobRun job(OutputFormat format, Compression compression) {
    return new JobRun(Sessions.shared(), input, output)
        .with("output-format", name(format), "compression", name(compression))
        .with("id-column", "id", "max-tokens", "1");
  }

  private static String name(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  static Stream<Arguments> offered() {
    return Stream.of(OutputFormat.values())
        .flatMap(format -> format.compressions().stream().map(c -> Arguments.of(format, c)));
  }

  @ParameterizedTest
  @MethodSource("offered")
  void testIsReadByOthers(OutputFormat format, Compression compression) throws Exception {
    job(format, compression).run();
    Map<String, String> texts =
        switch (format) {
          case PARQUET -> parquet(compression);
          case ARROW -> arrow();
          case JSONL -> lines("id", "generated_text");
          case OPENAI_BATCH -> lines("custom_id", "response.body.choices[1].\"text\"");
        };
    assertEquals(expected(), texts);
  }

  /** The model recalls the fact that a prompt asks for. */
  private Map<String, String> expected() throws Exception {
    return texts(
        DuckDb.rows(
            "select id, answer from read_json('"
                + input
                + "', columns = {id: 'VARCHAR',"
                + " answer: 'VARCHAR'})"));
  }

  private static Map<String, String> texts(List<List<String>> rows) {
    Map<String, String> texts = new TreeMap<>();
    rows.forEach(row -> texts.put(row.get(0), row.get(1).strip()));
    assertEquals(rows.size(), texts.size());
    return texts;
  }

  private Map<String, String> parquet(Compression compression) throws Exception {
    String files = "('" + output + "/part-*.parquet')";
    String codec = compression == Compression.LZ4 ? "LZ4_RAW" : compression.name();
    assertEquals(
        List.of(List.of(codec)),
        DuckDb.rows("select distinct compression from parquet_metadata" + files));
    return texts(DuckDb.rows("select id, generated_text from read_parquet" + files));
  }

  private Map<String, String> arrow() throws Exception {
    List<List<String>> rows = new ArrayList<>();
    try (Stream<Path> files = Files.list(output)) {
      List<Path> shards =
          files.filter(file -> file.getFileName().toString().startsWith("part-")).toList();
      for (JsonNode row : NodeArrow.rows(shards)) {
        rows.add(List.of(row.get("id").asText(), row.get("generated_text").asText()));
      }
    }
    return texts(rows);
  }

  private Map<String, String> lines(String id, String text) throws Exception {
    return texts(
        DuckDb.rows(
            "select "
                + id
                + ", "
                + text
                + " from read_json('"
                + output
                + "/part-*.jsonl', format"
                + " = 'newline_delimited')"));
  }

  @ParameterizedTest
  @EnumSource(OutputFormat.class)
  void testOthersAreRefusedByName(OutputFormat format) {
    for (Compression compression : Compression.values()) {
      if (!format.compressions().contains(compression)) {
        BulkgenException e =
            assertThrows(BulkgenException.class, () -> job(format, compression).run());
        String part = name(format) + " takes " + name(format.compressions().get(0));
        assertTrue(e.getMessage().contains(part), e.getMessage());
        assertTrue(e.getMessage().contains("not " + name(compression)), e.getMessage());
      }
    }
  }

  @Test
  void testArrowIsCompressed() throws Exception {
    // Short texts do not shrink; a long one that repeats itself does.
    input =
        Files.writeString(
            folder.resolve("long.jsonl"),
            "{\"id\":\"a\",\"prompt\":\"ada 11 . ada\",\"long\":\""
                + "again ".repeat(10_000)
                + "\"}\n");
    for (Compression compression : OutputFormat.ARROW.compressions()) {
      output = folder.resolve(name(compression));
      job(OutputFormat.ARROW, compression).run();
      long bytes = JobRun.shards(output).values().iterator().next().length;
      assertEquals(
          compression == Compression.UNCOMPRESSED, bytes > 60_000, compression + ": " + bytes);
      assertEquals(Map.of("a", "11"), arrow());
    }
  }
}
