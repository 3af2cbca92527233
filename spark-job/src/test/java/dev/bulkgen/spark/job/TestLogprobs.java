package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.Engine;
import dev.bulkgen.engine.GenerateRequest;
import dev.bulkgen.engine.Prompt;
import dev.bulkgen.engine.Score;
import dev.bulkgen.engine.ScoreRequest;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.TokenLogProbs;
import dev.bulkgen.spark.Sessions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code --logprobs}, against the engine asked directly, for a generation and for a score. */
class TestLogprobs {
  private static final SparkSession SPARK = Sessions.shared();
  private static final String TOKEN = "token_id:int,token:string,logprob:float";
  private static final StructType COLUMNS =
      StructType.fromDDL(
          "prompt string, token_ids array<int>, cumulative_logprob double, logprobs array<struct<"
              + TOKEN
              + ",top_logprobs:array<struct<"
              + TOKEN
              + ">>>>, error struct<code:string,message:string>");

  @TempDir Path folder;

  private Path output;

  @BeforeEach
  void nameOutput() {
    output = folder.resolve("out");
  }

  private JobRun job(Path input) {
    return new JobRun(SPARK, input, output).with("kv-cache", "fp16", "max-tokens", "3");
  }

  private Path write(String... lines) throws Exception {
    return Files.write(folder.resolve("in.jsonl"), List.of(lines));
  }

  private static <T> List<T> list(Row row, String column) {
    return row.getList(row.fieldIndex(column));
  }

  @ParameterizedTest
  @CsvSource({"parquet, parquet", "arrow, arrow-ipc", "jsonl, json"})
  void testColumnsAreTheEngines(String format, String reader) throws Exception {
    List<String> lines =
        new ArrayList<>(Files.readAllLines(JobRun.prompts(folder.resolve("p"), 6)));
    lines.set(1, "{\"id\":\"bad\",\"prompt\":\"\",\"answer\":null}");
    JobRun run =
        job(write(lines.toArray(String[]::new)))
            .with("output-format", format, "unit-rows", "4", "max-error-rate", "1")
            .with("logprobs", "3");
    run.run();
    Dataset<Row> result =
        format.equals("jsonl")
            ? SPARK.read().schema(COLUMNS).json(output.toString())
            : SPARK.read().format(reader).load(output.toString());
    Dataset<Row> ours = result.selectExpr(COLUMNS.fieldNames());
    assertEquals(COLUMNS.asNullable(), ours.schema().asNullable());
    List<Row> rows = ours.collectAsList();
    assertEquals(6, rows.size());
    int failed = 0;
    try (Engine engine = Engine.open(run.settings().engine())) {
      for (Row row : rows) {
        if (row.getAs("error") != null) {
          failed++;
          assertNull(row.getAs("token_ids"));
          assertNull(row.getAs("cumulative_logprob"));
          assertNull(row.getAs("logprobs"));
          continue;
        }
        GenerateRequest request =
            new GenerateRequest(
                "k", new Prompt.Text(row.getAs("prompt")), run.settings().sampling());
        Completion expected = engine.submit(request).join().get(0);
        assertEquals(Arrays.stream(expected.tokenIds()).boxed().toList(), list(row, "token_ids"));
        List<Object> told = new ArrayList<>();
        for (Row token : TestLogprobs.<Row>list(row, "logprobs")) {
          told.add(List.of(token.get(0), token.get(1), token.get(2), list(token, "top_logprobs")));
        }
        assertEquals(tokens(engine, expected), told);
        double sum = 0;
        for (TokenLogProbs token : expected.logProbs()) {
          sum += token.logProb();
        }
        assertEquals(sum, row.<Double>getAs("cumulative_logprob"), 0.0);
      }
    }
    assertEquals(1, failed);
  }

  private static List<Object> tokens(Engine engine, Completion completion) {
    List<Object> tokens = new ArrayList<>();
    for (int index = 0; index < completion.tokenIds().length; index++) {
      TokenLogProbs told = completion.logProbs().get(index);
      assertEquals(3, told.topTokens().length);
      List<Row> top = new ArrayList<>();
      for (int rank = 0; rank < 3; rank++) {
        int id = told.topTokens()[rank];
        top.add(RowFactory.create(id, text(engine, id), told.topLogProbs()[rank]));
      }
      int id = completion.tokenIds()[index];
      tokens.add(List.of(id, text(engine, id), told.logProb(), top));
    }
    return tokens;
  }

  private static String text(Engine engine, int id) {
    return new String(engine.tokenizer().orElseThrow().bytes(id).orElseThrow());
  }

  /** Of the model's own distribution, whatever is drawn by; a row a sample. */
  @Test
  void testValuesAreThoseOfAScore() throws Exception {
    JobRun run =
        job(JobRun.prompts(folder.resolve("in.jsonl"), 4))
            .with("n", "2", "temperature", "3", "top-k", "40", "repetition-penalty", "1.2")
            .with("logprobs", "0");
    run.run();
    List<Row> rows = JobRun.read(SPARK, output);
    assertEquals(8, rows.size());
    int unlikely = 0;
    try (Engine engine = Engine.open(run.settings().engine())) {
      for (int place = 0; place < 8; place++) {
        Row row = rows.get(place);
        assertEquals(place % 2, row.<Integer>getAs("sample_index"));
        int[] ids =
            TestLogprobs.<Integer>list(row, "token_ids").stream().mapToInt(id -> id).toArray();
        Score score =
            engine
                .score(
                    new ScoreRequest(
                        "k", new Prompt.Text(row.getAs("prompt")), List.of(new Prompt.Tokens(ids))))
                .join()
                .get(0);
        List<Row> tokens = list(row, "logprobs");
        assertEquals(ids.length, tokens.size());
        for (int index = 0; index < ids.length; index++) {
          Row token = tokens.get(index);
          assertEquals(ids[index], token.<Integer>getAs("token_id"));
          assertEquals(List.of(), list(token, "top_logprobs"));
          float logprob = token.getAs("logprob");
          // Prompts are attended to as for a score, later tokens by other sums.
          assertEquals(score.logProbs()[index], logprob, index == 0 ? 0 : 1e-3);
          unlikely += logprob < -1 ? 1 : 0;
        }
        assertEquals(score.logLikelihood(), row.<Double>getAs("cumulative_logprob"), 3e-3);
      }
    }
    assertTrue(unlikely > 4, "tokens that the model itself would hardly draw: " + unlikely);
  }

  private Path withSettings() throws Exception {
    List<String> lines = new ArrayList<>();
    for (String own : List.of("null", "1", "false", "101")) {
      lines.add(
          "{\"own\":\""
              + own
              + "\",\"prompt\":\"ada 11 . bob 12 . ada\",\"p\":\"{\\\"logprobs\\\":"
              + own
              + "}\"}");
    }
    return write(lines.toArray(String[]::new));
  }

  private Map<String, Row> rows() {
    Map<String, Row> rows = new TreeMap<>();
    JobRun.read(SPARK, output).forEach(row -> rows.put(row.getAs("own"), row));
    return rows;
  }

  @Test
  void testARowsOwnNumberGoesFirst() throws Exception {
    job(withSettings())
        .with("logprobs", "2", "sampling-params-column", "p", "max-error-rate", "1")
        .run();
    Map<String, Row> rows = rows();
    assertEquals(2, top(rows.get("null")).size());
    assertEquals(1, top(rows.get("1")).size());
    assertNull(rows.get("false").getAs("logprobs"));
    assertNull(rows.get("false").getAs("cumulative_logprob"));
    assertEquals(3, list(rows.get("false"), "token_ids").size());
    assertEquals("logprobs: 101 is outside [0, 100]", message(rows.get("101")));
  }

  private static List<Row> top(Row row) {
    return list(TestLogprobs.<Row>list(row, "logprobs").get(0), "top_logprobs");
  }

  private static String message(Row row) {
    return row.<Row>getAs("error").getString(1);
  }

  @Test
  void testARowAddsNoColumns() throws Exception {
    job(withSettings()).with("sampling-params-column", "p", "max-error-rate", "1").run();
    Map<String, Row> rows = rows();
    List<String> columns = List.of(rows.get("1").schema().fieldNames());
    assertFalse(columns.contains("logprobs") || columns.contains("token_ids"), columns.toString());
    assertEquals("REQUEST_INVALID", rows.get("1").<Row>getAs("error").getString(0));
    assertTrue(message(rows.get("1")).contains("no column for them"), message(rows.get("1")));
    assertNull(rows.get("null").getAs("error"));
    assertNull(rows.get("false").getAs("error"));
  }

  @Test
  void testAnotherNumberIsAnotherJob() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 4);
    job(input).with("logprobs", "2").run();
    assertEquals(1, job(input).with("logprobs", "2").run().reusedUnits());
    assertRefused(job(input).with("logprobs", "3"), "logprobs: was 2, now 3");
    assertRefused(job(input), "logprobs: was 2, now not set");
  }

  private static void assertRefused(JobRun run, String change) {
    BulkgenException e = assertThrows(BulkgenException.class, run::run);
    assertEquals(ErrorCode.SETTINGS_CHANGED, e.code());
    assertTrue(e.getMessage().contains(change), e.getMessage());
  }
}
