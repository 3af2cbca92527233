package dev.bulkgen.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.job.JobRun;
import dev.bulkgen.spark.plugin.EngineHolder;
import java.nio.file.Path;
import java.util.List;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TestGenerateFunction {
  private static final int ROWS = 5;

  @TempDir Path folder;

  private SparkSession spark;

  @BeforeEach
  void prepare() throws Exception {
    spark = Sessions.shared().newSession();
    set("model", JobRun.MODEL);
    set("memory", "64MB");
    set("max-batch", "16");
    set("max-tokens", "2");
    set("temperature", "0");
    spark
        .read()
        .json(JobRun.prompts(folder.resolve("in.jsonl"), ROWS).toString())
        .createOrReplaceTempView("prompts");
  }

  private void set(String name, String value) {
    spark.conf().set("spark.bulkgen." + name, value);
  }

  @AfterEach
  void close() {
    EngineHolder.close(RowGenerator.of(spark).engine());
  }

  /** Prompts and texts that this session's engine has seen and made. */
  private long generatedTokens() {
    return EngineHolder.figures().map(figures -> figures.generatedTokens()).orElse(0L);
  }

  @ParameterizedTest
  @ValueSource(strings = {"bulkgen_generate", "bulkgen.system.generate"})
  void testAnswersAreThoseOfAJob(String function) {
    List<Row> rows =
        spark.sql("SELECT answer, " + function + "(prompt) AS text FROM prompts").collectAsList();
    assertEquals(ROWS, rows.size());
    long right =
        rows.stream().filter(row -> row.getString(1).strip().startsWith(row.getString(0))).count();
    assertTrue(right >= ROWS - 1, rows.toString());
  }

  /** A filter and two projections of one result: Catalyst could make three calls of it. */
  @ParameterizedTest
  @ValueSource(strings = {"bulkgen_generate", "bulkgen.system.generate"})
  void testOneCallStaysOne(String function) {
    String query =
        "SELECT text, upper(text) AS again, length(text) AS size FROM (SELECT "
            + function
            + "(prompt) AS text, id FROM prompts) WHERE length(text) > 0 AND text <> 'x' AND id > ''";
    assertEquals(ROWS, spark.sql(query).collectAsList().size());
    assertEquals(2L * ROWS, generatedTokens());
  }

  @Test
  void testNullGivesNull() {
    assertNull(spark.sql("SELECT bulkgen_generate(NULL)").head().get(0));
    assertNull(
        spark.sql("SELECT bulkgen_generate(if(id < 'x', NULL, id)) FROM prompts").head().get(0));
    assertEquals(0, generatedTokens());
  }

  @Test
  void testSettingsOfACall() {
    Row row =
        spark
            .sql(
                "SELECT bulkgen_generate(prompt), bulkgen_generate(prompt, map('max-tokens', '1')),"
                    + " bulkgen_generate(prompt, map('max-tokens', 1)) FROM prompts")
            .head();
    assertNotEquals(row.getString(0), row.getString(1));
    assertTrue(row.getString(0).startsWith(row.getString(1)), row.toString());
    assertEquals(row.getString(1), row.getString(2));
  }

  @Test
  void testDrawsAreKeyedByThePrompt() {
    set("temperature", "1");
    String query = "SELECT bulkgen_generate(prompt, map('max-tokens', '8')) FROM prompts";
    assertEquals(spark.sql(query).collectAsList(), spark.sql(query).collectAsList());
  }

  @Test
  void testErrorOfARowIsRaisedWithItsCode() {
    fails("SELECT bulkgen_generate(repeat(prompt, 900)) FROM prompts", "PROMPT_TOO_LONG");
    fails("SELECT bulkgen_generate('') FROM prompts", "PROMPT_EMPTY");
  }

  @Test
  void testWrongSettingsAreTold() {
    fails(
        "SELECT bulkgen_generate(prompt, map('kv-cache', 'fp16')) FROM prompts",
        "kv-cache: a call");
    fails("SELECT bulkgen_generate(prompt, map('temprature', '1')) FROM prompts", "temperature?");
    fails("SELECT bulkgen_generate(prompt, map('n', '2')) FROM prompts", "one text a row");
    fails(
        "SELECT bulkgen_generate(prompt, map('logprobs', '0')) FROM prompts",
        "logprobs: bulkgen_generate gives one text a row");
    fails("SELECT bulkgen_generate(1, 2) FROM prompts", "map of settings");
    fails("SELECT bulkgen.system.generate(1, 2) FROM prompts", "map of settings");
    SparkSession bare = Sessions.shared().newSession();
    Exception e =
        assertThrows(Exception.class, () -> bare.sql("SELECT bulkgen_generate('a')").collect());
    assertTrue(e.getMessage().contains("set spark.bulkgen.model"), e.getMessage());
  }

  private void fails(String query, String part) {
    Exception e = assertThrows(Exception.class, () -> spark.sql(query).collect());
    StringBuilder said = new StringBuilder();
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      said.append(cause.getMessage()).append('\n');
    }
    assertTrue(said.toString().contains(part), part + " in " + said);
  }
}
