package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.AllTypes;
import dev.bulkgen.spark.DuckDb;
import dev.bulkgen.spark.NodeArrow;
import dev.bulkgen.spark.Sessions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Results as readers see them that are not ours, and input columns of every type in them. */
class TestReadBack {
  private static final SparkSession SPARK = Sessions.shared();
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Greedy and one token: true in every reader. */
  private static final String SAME_LOGPROB =
      "cast(logprobs[1].logprob as float) = cast(cumulative_logprob as float) and token_ids[1] ="
          + " logprobs[1].top_logprobs[1].token_id";

  /** Columns that mean the same to every reader when they are JSON. */
  private static final String[] PLAIN = {
    "b", "i8", "i16", "i32", "list", "nolist", "lists", "pairs", "some", "messages"
  };

  @TempDir static Path folder;

  private static Path input;
  private static Dataset<Row> table;

  @BeforeAll
  static void writeInput() {
    input = folder.resolve("in");
    AllTypes.table(SPARK)
        .drop("place", "point")
        .selectExpr("*", "'ada 11 . ada' as prompt")
        .write()
        .format("arrow-ipc")
        .save(input.toString());
    table = SPARK.read().format("arrow-ipc").load(input.toString());
  }

  private static Path run(String format) {
    Path output = folder.resolve(format);
    if (!Files.exists(output)) {
      new JobRun(SPARK, input, output)
          .with("input-format", "arrow", "output-format", format, "max-tokens", "1")
          .with("logprobs", "1")
          .run();
    }
    return output;
  }

  private static Dataset<Row> inputColumns(Dataset<Row> result) {
    return result.selectExpr(table.columns());
  }

  @Test
  void testEveryTypeComesThroughParquet() {
    Dataset<Row> result = SPARK.read().parquet(run("parquet").toString());
    assertEquals(table.schema().asNullable(), inputColumns(result).schema().asNullable());
    AllTypes.assertSameRows(table, inputColumns(result));
  }

  @Test
  void testEveryTypeComesThroughArrow() {
    Dataset<Row> result = SPARK.read().format("arrow-ipc").load(run("arrow").toString());
    assertEquals(table.schema().asNullable(), inputColumns(result).schema().asNullable());
    AllTypes.assertSameRows(table, inputColumns(result));
    assertEquals(3, result.where("generated_text is not null and error is null").count());
  }

  /** All but what docs/formats.md says JSON has no word for. */
  @Test
  void testJsonLinesComeBackByTheirSchema() {
    List<String> columns = new ArrayList<>(List.of(table.columns()));
    columns.removeAll(List.of("nothing", "nothings", "rare", "variant", "variants"));
    Dataset<Row> expected = table.selectExpr(columns.toArray(String[]::new));
    Dataset<Row> result = SPARK.read().schema(expected.schema()).json(run("jsonl").toString());
    AllTypes.assertSameRows(expected, result);
  }

  @Test
  void testWhatAPlanCannotHoldIsRefusedByName() {
    Path places = folder.resolve("places");
    AllTypes.table(SPARK)
        .selectExpr("'ada' as prompt", "array(point) as points")
        .write()
        .format("arrow-ipc")
        .save(places.toString());
    JobRun run = new JobRun(SPARK, places, folder.resolve("refused"));
    BulkgenException e = assertThrows(BulkgenException.class, run::run);
    assertTrue(e.getMessage().contains("column 'points'"), e.getMessage());
    assertTrue(e.getMessage().contains("which a plan cannot hold"), e.getMessage());
  }

  @Test
  void testWhatJsonHasNoFormForIsRefusedByName() {
    Path maps = folder.resolve("maps");
    SPARK.sql("select 'ada' as prompt, array(map(X'01', 1)) as m").write().parquet(maps.toString());
    JobRun run = new JobRun(SPARK, maps, folder.resolve("text")).with("output-format", "jsonl");
    BulkgenException e = assertThrows(BulkgenException.class, run::run);
    assertTrue(e.getMessage().contains("column 'm' is array<map<binary,int>>"), e.getMessage());
  }

  private static List<String> expectedJson(String... columns) {
    return table
        .selectExpr(
            "to_json(struct(" + String.join(", ", columns) + "), map('ignoreNullFields', 'false'))")
        .as(org.apache.spark.sql.Encoders.STRING())
        .collectAsList();
  }

  @Test
  void testDuckDbReadsParquet() throws Exception {
    String file = run("parquet") + "/part-*.parquet";
    String plain =
        Arrays.stream(PLAIN)
            .map(column -> "'" + column + "': \"" + column + "\"")
            .collect(Collectors.joining(", ", "{", "}"));
    List<List<String>> rows =
        DuckDb.rows(
            "select to_json("
                + plain
                + "), text, d38, cast(\"day\" as varchar), epoch_us(\"at\"), epoch_us(ntz), hex(bytes),"
                + " generated_text, usage.prompt_tokens, error, "
                + SAME_LOGPROB
                + " from read_parquet('"
                + file
                + "')");
    List<String> json = expectedJson(PLAIN);
    List<Row> expected =
        table
            .selectExpr(
                "text",
                "cast(d38 as string)",
                "cast(day as string)",
                "cast(unix_micros(at) as string)",
                "cast(unix_micros(cast(ntz as timestamp)) as string)",
                "hex(bytes)")
            .collectAsList();
    assertEquals(3, rows.size());
    for (int row = 0; row < rows.size(); row++) {
      assertEquals(JSON.readTree(json.get(row)), JSON.readTree(rows.get(row).get(0)));
      for (int column = 0; column < 6; column++) {
        assertEquals(expected.get(row).getString(column), rows.get(row).get(column + 1));
      }
      assertEquals("11", rows.get(row).get(7).strip());
      assertTrue(Integer.parseInt(rows.get(row).get(8)) > 0);
      assertNull(rows.get(row).get(9));
      assertEquals("true", rows.get(row).get(10));
    }
  }

  /** A double of a score is the same double in every file. */
  @Test
  void testDuckDbReadsScores() throws Exception {
    List<List<String>> seen = new ArrayList<>();
    for (String format : List.of("parquet", "jsonl")) {
      Path output = folder.resolve("scores-" + format);
      new JobRun(SPARK, input, output)
          .scoring()
          .with("input-format", "arrow", "output-format", format)
          .with("text-column", "prompt", "token-logprobs", "true")
          .run();
      String files = "'" + output + "/part-*." + format + "'";
      String from =
          format.equals("parquet")
              ? "read_parquet(" + files + ")"
              : "read_json(" + files + ", format = 'newline_delimited')";
      seen.addAll(
          DuckDb.rows(
              "select cast(loglikelihood as double), is_greedy, num_tokens, choice_index,"
                  + " usage.completion_tokens, len(token_ids), len(token_logprobs), error from "
                  + from));
    }
    List<Row> expected =
        SPARK
            .read()
            .parquet(folder.resolve("scores-parquet").toString())
            .select("loglikelihood", "num_tokens")
            .collectAsList();
    assertEquals(6, seen.size());
    for (int row = 0; row < seen.size(); row++) {
      List<String> found = seen.get(row);
      Row wanted = expected.get(row % 3);
      assertEquals(wanted.getDouble(0), Double.parseDouble(found.get(0)), 0.0);
      assertEquals("0", found.get(3));
      for (int column : new int[] {2, 4, 5, 6}) {
        assertEquals(String.valueOf(wanted.getInt(1)), found.get(column), found.toString());
      }
      assertNull(found.get(7));
    }
  }

  @Test
  void testDuckDbReadsJsonLines() throws Exception {
    List<List<String>> rows =
        DuckDb.rows(
            "select i32, text, list[3], \"some\".x, usage.completion_tokens, generated_text, "
                + SAME_LOGPROB
                + " from read_json('"
                + run("jsonl")
                + "/part-*.jsonl', format = 'newline_delimited')");
    assertEquals(3, rows.size());
    assertEquals("-2147483648", rows.get(0).get(0));
    assertEquals("", rows.get(0).get(1));
    assertEquals("3", rows.get(0).get(2));
    assertEquals("1", rows.get(1).get(3));
    assertNull(rows.get(2).get(0));
    rows.forEach(row -> assertEquals("1", row.get(4)));
    rows.forEach(row -> assertEquals("11", row.get(5).strip()));
    rows.forEach(row -> assertEquals("true", row.get(6)));
  }

  @Test
  void testNodeReadsArrow() throws Exception {
    List<JsonNode> rows = NodeArrow.rows(shards(run("arrow")));
    List<String> expected = expectedJson(PLAIN);
    assertEquals(3, rows.size());
    for (int row = 0; row < 3; row++) {
      JsonNode found = rows.get(row);
      JsonNode wanted = JSON.readTree(expected.get(row));
      for (String column : PLAIN) {
        // Its decimals come as whole numbers without their point.
        if (!column.equals("some")) {
          assertEquals(wanted.get(column), found.get(column), column + " of row " + row);
        }
      }
      assertEquals(wanted.at("/some/x"), found.at("/some/x"));
      assertEquals("11", found.get("generated_text").asText().strip());
      assertTrue(found.get("usage").get("prompt_tokens").asInt() > 0);
      assertTrue(found.get("error").isNull());
      assertEquals(found.at("/logprobs/0/logprob"), found.at("/logprobs/0/top_logprobs/0/logprob"));
      assertEquals("11", found.at("/logprobs/0/token").asText().strip());
    }
    assertEquals("-9223372036854775808", rows.get(0).get("i64").asText());
    assertEquals("00ff80", rows.get(1).get("bytes").asText());
    assertTrue(rows.get(2).get("text").isNull());
  }

  private static List<Path> shards(Path output) throws Exception {
    try (Stream<Path> files = Files.list(output)) {
      return files
          .filter(file -> file.getFileName().toString().startsWith("part-"))
          .sorted()
          .toList();
    }
  }
}
