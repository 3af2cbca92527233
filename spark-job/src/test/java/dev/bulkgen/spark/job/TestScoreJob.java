package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.Fixtures;
import dev.bulkgen.engine.Engine;
import dev.bulkgen.engine.Prompt;
import dev.bulkgen.engine.Score;
import dev.bulkgen.engine.ScoreRequest;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.Sessions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code bulkgen score}, against the engine asked directly. */
class TestScoreJob {
  private static final SparkSession SPARK = Sessions.shared();
  private static final String[] NAMES = {
    "loglikelihood", "is_greedy", "num_tokens", "choice_index", "usage", "error"
  };

  @TempDir Path folder;

  private Path output;

  @BeforeEach
  void nameOutput() {
    output = folder.resolve("out");
  }

  private JobRun job(Path input) {
    return new JobRun(SPARK, input, output).scoring();
  }

  private JobRun answers(Path input) {
    return job(input).with("prompt-template", "{prompt} ", "completion-column", "answer");
  }

  private Path write(String... lines) throws Exception {
    return Files.write(folder.resolve("in.jsonl"), List.of(lines));
  }

  private List<Row> read(String format) {
    return SPARK.read().format(format).load(output.toString()).collectAsList();
  }

  private static void assertScore(Score expected, Row row) {
    assertNull(row.getAs("error"));
    assertEquals(expected.logLikelihood(), row.<Double>getAs("loglikelihood"), 0.0);
    assertEquals(expected.isGreedy(), row.<Boolean>getAs("is_greedy"));
    assertEquals(expected.tokenIds().length, row.<Integer>getAs("num_tokens"));
    Row usage = row.getAs("usage");
    assertEquals(expected.usage().promptTokens(), usage.<Integer>getAs("prompt_tokens"));
    assertEquals(expected.usage().completionTokens(), usage.<Integer>getAs("completion_tokens"));
  }

  private static void assertTokens(Score expected, Row row) {
    List<Integer> ids = Arrays.stream(expected.tokenIds()).boxed().toList();
    assertEquals(ids, row.getList(row.fieldIndex("token_ids")));
    List<Float> logProbs = new ArrayList<>();
    for (float logProb : expected.logProbs()) {
      logProbs.add(logProb);
    }
    assertEquals(logProbs, row.getList(row.fieldIndex("token_logprobs")));
  }

  @Test
  void testScoresAreTheEngines() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 30);
    JobRun run = answers(input).with("unit-rows", "11", "token-logprobs", "true");
    JobReport report = run.run();
    List<Row> rows = JobRun.read(SPARK, output);
    assertEquals(30, rows.size());
    double sum = 0;
    int tokens = 0;
    int greedy = 0;
    try (Engine engine = Engine.open(run.settings().engine())) {
      for (Row row : rows) {
        Prompt answer = new Prompt.Text(row.getAs("answer"));
        Prompt prompt = new Prompt.Text(row.getAs("prompt") + " ");
        Score expected = engine.score(new ScoreRequest("k", prompt, List.of(answer))).join().get(0);
        assertScore(expected, row);
        assertTokens(expected, row);
        sum += expected.logLikelihood();
        tokens += expected.tokenIds().length;
        greedy += expected.isGreedy() ? 1 : 0;
      }
    }
    assertTrue(greedy >= 28, "the model knows its answers: " + greedy);
    JsonNode json = new ObjectMapper().readTree(report.toJson());
    assertEquals("score", json.get("task").asText());
    assertEquals(30, json.get("completions_scored").asInt());
    assertEquals(greedy, json.get("completions_greedy").asInt());
    assertEquals(tokens, json.get("completion_tokens").asInt());
    assertEquals(sum, json.get("loglikelihood").asDouble(), 1e-9);
    assertEquals(sum / tokens, json.get("loglikelihood_per_token").asDouble(), 1e-9);
    assertEquals(Math.exp(-sum / tokens), json.get("perplexity_per_token").asDouble(), 1e-9);
    String table = report.render();
    assertTrue(table.contains("scored tokens      " + tokens), table);
    assertTrue(table.contains("greedy             " + greedy + " of 30 completions"), table);
    assertTrue(table.contains("perplexity"), table);
    assertFalse(table.contains("generated"), table);
  }

  @Test
  void testChoicesAreRows() throws Exception {
    Path input =
        write(
            "{\"prompt\":\"ada 11 . ana 12 . ada\",\"choices\":[\" 12\",\" 11\",\"\"]}",
            "{\"prompt\":\"ada 11 . ana 12 . ana\",\"choices\":[\" 12\"]}");
    JobRun run = job(input).with("completion-column", "choices");
    JobReport report = run.run();
    assertEquals(2, report.rows());
    List<Row> rows = JobRun.read(SPARK, output);
    assertEquals(4, rows.size());
    try (Engine engine = Engine.open(run.settings().engine())) {
      for (Row row : rows) {
        List<Prompt> choices =
            row.<String>getList(row.fieldIndex("choices")).stream()
                .<Prompt>map(Prompt.Text::new)
                .toList();
        ScoreRequest request = new ScoreRequest("k", new Prompt.Text(row.getAs("prompt")), choices);
        int choice = row.getAs("choice_index");
        assertScore(engine.score(request).join().get(choice), row);
      }
    }
    assertEquals(List.of(0, 1, 2, 0), rows.stream().map(r -> r.getAs("choice_index")).toList());
    assertEquals(
        List.of(false, true, true, true), rows.stream().map(r -> r.getAs("is_greedy")).toList());
    assertEquals(0, rows.get(2).<Integer>getAs("num_tokens"));
    assertEquals(0.0, rows.get(2).<Double>getAs("loglikelihood"));
  }

  @Test
  void testTokenIdsAndTheirChoices() throws Exception {
    Path input =
        write(
            "{\"prompt\":[1,121,32,7],\"one\":[9,4],\"choices\":[[9,4],[5]]}",
            "{\"prompt\":[1,121,32,8],\"one\":[],\"choices\":[[9]]}");
    JobRun one = job(input).with("completion-column", "one");
    one.run();
    List<Row> single = JobRun.read(SPARK, output);
    output = folder.resolve("choices");
    job(input).with("completion-column", "choices", "token-logprobs", "true").run();
    List<Row> rows = JobRun.read(SPARK, output);
    assertEquals(3, rows.size());
    Prompt prompt = new Prompt.Tokens(new int[] {1, 121, 32, 7});
    List<Prompt> choices =
        List.of(new Prompt.Tokens(new int[] {9, 4}), new Prompt.Tokens(new int[] {5}));
    try (Engine engine = Engine.open(one.settings().engine())) {
      List<Score> expected = engine.score(new ScoreRequest("k", prompt, choices)).join();
      for (int choice = 0; choice < 2; choice++) {
        assertScore(expected.get(choice), rows.get(choice));
        assertTokens(expected.get(choice), rows.get(choice));
      }
      assertScore(expected.get(0), single.get(0));
    }
    assertEquals(0, single.get(1).<Integer>getAs("num_tokens"));
  }

  @Test
  void testWholeTextsLongerThanTheModel() throws Exception {
    Path stories = Fixtures.path("models/stories260k");
    String sentence = "Once upon a time there was a little girl who saw a big red ball. ";
    Path input =
        write(
            "{\"text\":\"" + sentence + "\"}",
            "{\"text\":\"" + sentence.repeat(70) + "\"}",
            "{\"text\":null}");
    JobRun run =
        job(input)
            .with("model", stories.toString(), "text-column", "text", "max-error-rate", "1")
            .with("token-logprobs", "true");
    JobReport report = run.run();
    assertEquals(Map.of("PROMPT_EMPTY", 1L), report.errors());
    List<Row> rows = JobRun.read(SPARK, output);
    try (Engine engine = Engine.open(run.settings().engine())) {
      int longest = engine.memoryPlan().demand().maxModelLen();
      for (Row row : rows.subList(0, 2)) {
        Prompt text = new Prompt.Text(row.getAs("text"));
        ScoreRequest request = new ScoreRequest("k", new Prompt.Text(""), List.of(text));
        Score expected = engine.score(request).join().get(0);
        assertScore(expected, row);
        assertTokens(expected, row);
      }
      assertTrue(rows.get(1).<Integer>getAs("num_tokens") > 2 * longest);
    }
    assertNotNull(rows.get(2).getAs("error"));
  }

  @Test
  void testErrorsStayInTheirRows() throws Exception {
    Path input =
        write(
            "{\"n\":0,\"prompt\":\"ada 11 . ada\",\"choices\":[\" 11\"]}",
            "{broken",
            "{\"n\":1,\"prompt\":\"ada\",\"choices\":null}",
            "{\"n\":2,\"prompt\":\"ada\",\"choices\":[]}",
            "{\"n\":3,\"prompt\":\"ada\",\"choices\":[\" 11\",null]}",
            "{\"n\":4,\"prompt\":null,\"choices\":[\" 11\"]}",
            "{\"n\":5,\"prompt\":\"ada\",\"choices\":[\"" + " ada 11 .".repeat(900) + "\"]}",
            "{\"n\":6,\"prompt\":\"ada\",\"choices\":[\" 11\"]}");
    JobReport report = job(input).with("completion-column", "choices", "max-error-rate", "1").run();
    assertEquals(
        Map.of(
            "ROW_MALFORMED", 1L, "PROMPT_EMPTY", 3L, "PROMPT_INVALID", 1L, "PROMPT_TOO_LONG", 1L),
        report.errors());
    Map<Object, String> messages = new TreeMap<>();
    List<Row> rows = JobRun.read(SPARK, output);
    for (Row row : rows) {
      Row error = row.getAs("error");
      assertEquals(error == null, row.getAs("loglikelihood") != null);
      assertEquals(error == null, row.getAs("usage") != null);
      assertEquals(0, row.<Integer>getAs("choice_index"));
      if (error != null && row.getAs("n") != null) {
        messages.put(row.getAs("n"), error.getString(1));
      }
    }
    assertEquals(8, rows.size());
    assertEquals("column 'choices' is null", messages.get(1L));
    assertEquals("column 'choices' holds no choices", messages.get(2L));
    assertEquals("choice 1 of column 'choices' is null", messages.get(3L));
    assertFalse(messages.containsKey(6L));
  }

  @ParameterizedTest
  @CsvSource({"parquet, parquet", "arrow, arrow-ipc", "jsonl, json"})
  void testFormats(String format, String reader) throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 9);
    JobRun run = answers(input).with("output-format", format, "unit-rows", "4");
    run.run();
    List<Row> rows = read(reader);
    assertEquals(9, rows.size());
    try (Engine engine = Engine.open(run.settings().engine())) {
      for (Row row : rows) {
        Prompt prompt = new Prompt.Text(row.getAs("prompt") + " ");
        Prompt answer = new Prompt.Text(row.getAs("answer"));
        Score expected = engine.score(new ScoreRequest("k", prompt, List.of(answer))).join().get(0);
        assertEquals(expected.logLikelihood(), row.<Double>getAs("loglikelihood"), 0.0);
        assertEquals(expected.isGreedy(), row.<Boolean>getAs("is_greedy"));
      }
    }
    assertEquals(3, run.run().reusedUnits());
  }

  @Test
  void testColumnsComeAfterTheInputs() throws Exception {
    answers(JobRun.prompts(folder.resolve("in.jsonl"), 2)).run();
    String[] columns = SPARK.read().parquet(output.toString()).columns();
    assertArrayEquals(NAMES, Arrays.copyOfRange(columns, 3, columns.length));
  }

  /** The same folder, input and model: only what is done with rows is another. */
  @Test
  void testFolderOfAnotherTaskIsRefused() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 4);
    answers(input).run();
    Map<String, byte[]> shards = JobRun.shards(output);
    BulkgenException e =
        assertThrows(BulkgenException.class, () -> new JobRun(SPARK, input, output).run());
    assertEquals(ErrorCode.SETTINGS_CHANGED, e.code());
    assertTrue(e.getMessage().contains("task: was score, now generate"), e.getMessage());
    assertEquals(shards.keySet(), JobRun.shards(output).keySet());
    output = folder.resolve("generated");
    new JobRun(SPARK, input, output).run();
    BulkgenException other = assertThrows(BulkgenException.class, () -> answers(input).run());
    assertTrue(other.getMessage().contains("task: was generate, now score"), other.getMessage());
  }

  @Test
  void testOtherCompletionsAreOtherSettings() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 4);
    answers(input).run();
    BulkgenException e =
        assertThrows(
            BulkgenException.class, () -> answers(input).with("completion-column", "id").run());
    assertTrue(e.getMessage().contains("completion-column: was answer, now id"), e.getMessage());
  }

  @Test
  void testWrongColumnsAreRefusedAndLeaveNothing() throws Exception {
    Path input = write("{\"prompt\":\"ada\",\"ids\":[1],\"m\":{\"x\":1},\"answer\":\"11\"}");
    BulkgenException absent =
        assertThrows(
            BulkgenException.class, () -> job(input).with("completion-column", "anser").run());
    assertEquals(ErrorCode.COLUMN_NOT_FOUND, absent.code());
    assertTrue(absent.getMessage().contains("(completion-column)"), absent.getMessage());
    BulkgenException type =
        assertThrows(BulkgenException.class, () -> job(input).with("text-column", "m").run());
    assertTrue(type.getMessage().contains("text-column: column 'm' is struct"), type.getMessage());
    BulkgenException mixed =
        assertThrows(
            BulkgenException.class,
            () -> job(input).with("prompt-column", "ids", "completion-column", "answer").run());
    assertTrue(mixed.getMessage().contains("both as text or both as token ids"));
    Path same = write("{\"prompt\":\"ada\",\"answer\":\"11\",\"Is_Greedy\":1}");
    BulkgenException named = assertThrows(BulkgenException.class, () -> answers(same).run());
    assertTrue(named.getMessage().contains("'Is_Greedy'"), named.getMessage());
    assertFalse(Files.exists(output));
  }
}
