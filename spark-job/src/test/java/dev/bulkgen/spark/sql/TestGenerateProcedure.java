package dev.bulkgen.spark.sql;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.SessionSettings;
import dev.bulkgen.spark.config.SettingCatalogue;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.job.JobRun;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.connector.catalog.procedures.ProcedureParameter;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TestGenerateProcedure {
  private static final int ROWS = 12;

  @TempDir Path folder;

  private SparkSession spark;
  private Path input;
  private Path output;

  @BeforeEach
  void prepare() throws Exception {
    spark = Sessions.shared().newSession();
    input = JobRun.prompts(folder.resolve("in.jsonl"), ROWS);
    output = folder.resolve("out");
  }

  private Row call(String from, String more) {
    return call("generate", from, ", temperature => 0, max_tokens => 2" + more);
  }

  private Row call(String procedure, String from, String more) {
    return spark
        .sql(
            String.format(
                "CALL bulkgen.system.%s(input => '%s', output => '%s', model => '%s',"
                    + " memory => '64MB', max_batch => 16%s)",
                procedure, from, output, JobRun.MODEL, more))
        .head();
  }

  /** What the session says of sampling is for its other jobs. */
  @Test
  void testScore() throws Exception {
    spark.conf().set("spark.bulkgen.temperature", "0.5");
    spark.conf().set("spark.bulkgen.completion-column", "answer");
    String more = ", prompt_template => '{prompt} ', token_logprobs => true";
    Row first = call("score", input.toString(), more);
    assertEquals((long) ROWS, first.<Long>getAs("rows_done"));
    JsonNode report = new ObjectMapper().readTree(first.<String>getAs("report"));
    assertEquals(ROWS, report.get("completions_scored").asInt());
    assertEquals(report.get("completion_tokens").asLong(), first.<Long>getAs("completion_tokens"));
    for (Row row : JobRun.read(spark, output)) {
      assertTrue(row.<Double>getAs("loglikelihood") < 0);
      assertTrue(row.<Object>getAs("token_logprobs") != null);
    }
    assertEquals(1L, call("score", input.toString(), more).<Long>getAs("units_reused"));
    Exception unknown =
        assertThrows(Exception.class, () -> call("score", input.toString(), ", top_p => 1"));
    assertTrue(unknown.getMessage().contains("top_p"), unknown.getMessage());
  }

  @Test
  void testCallReturnsTheFiguresAndMayBeRepeated() throws Exception {
    String more = ", unit_rows => 5, id_column => 'id', answer_column => 'answer', logprobs => 1";
    Row first = call(input.toString(), more);
    assertEquals((long) ROWS, first.<Long>getAs("rows_done"));
    assertEquals(0L, first.<Long>getAs("rows_failed"));
    assertEquals(3L, first.<Long>getAs("units_run"));
    assertEquals(2L * ROWS, first.<Long>getAs("completion_tokens"));
    assertTrue(first.<String>getAs("output").endsWith(output.toString()), first.toString());
    assertEquals(
        ROWS,
        new ObjectMapper().readTree(first.<String>getAs("report")).get("answers_known").asInt());
    List<Row> rows = JobRun.read(spark, output);
    assertEquals(ROWS, rows.size());
    rows.forEach(row -> assertEquals(2, row.getList(row.fieldIndex("logprobs")).size()));
    Row again = call(input.toString(), more);
    assertEquals(0L, again.<Long>getAs("units_run"));
    assertEquals(3L, again.<Long>getAs("units_reused"));
  }

  @Test
  void testViewOfTheSession() {
    spark.read().json(input.toString()).createOrReplaceTempView("prompts");
    spark.sql("CREATE TEMPORARY VIEW few AS SELECT * FROM prompts WHERE id < 'r004'");
    assertEquals(4L, call("few", "").<Long>getAs("rows_done"));
    assertEquals(1L, call("few", "").<Long>getAs("units_reused"));
  }

  @Test
  void testTableOfACatalog() {
    call(input.toString(), ", id_column => 'id'");
    List<Row> expected = texts();
    output = folder.resolve("of-a-table");
    spark.sql("CREATE DATABASE shelf");
    try {
      spark.read().json(input.toString()).write().saveAsTable("shelf.prompts");
      assertEquals(
          (long) ROWS,
          call("spark_catalog.shelf.prompts", ", id_column => 'id'").<Long>getAs("rows_done"));
      BulkgenException none = assertThrows(BulkgenException.class, () -> call("shelf.none", ""));
      assertEquals(ErrorCode.INPUT_NOT_FOUND, none.code());
      assertTrue(none.getMessage().contains("shelf.none"), none.getMessage());
    } finally {
      spark.sql("DROP DATABASE shelf CASCADE");
    }
    assertEquals(expected, texts());
  }

  private List<Row> texts() {
    return spark
        .read()
        .parquet(output.toString())
        .select("id", "prompt", "generated_text")
        .orderBy("id")
        .collectAsList();
  }

  @Test
  void testListsAndFlags() {
    call(input.toString(), ", stop => array('1', '2'), token_ids => true");
    for (Row row : JobRun.read(spark, output)) {
      assertTrue(!row.<String>getAs("generated_text").matches(".*[12].*"), row.toString());
      assertTrue(row.<Object>getAs("token_ids") != null);
    }
  }

  @Test
  void testMistakesAreToldAsOnTheCommandLine() {
    BulkgenException e =
        assertThrows(
            BulkgenException.class, () -> call(input.toString(), ", top_p => 2, seed => 1"));
    assertTrue(e.getMessage().contains("top-p: 2"), e.getMessage());
    BulkgenException none = assertThrows(BulkgenException.class, () -> call("prompts.jsonl", ""));
    assertEquals(ErrorCode.INPUT_NOT_FOUND, none.code());
    assertTrue(none.getMessage().contains("./prompts.jsonl"), none.getMessage());
    Exception unknown =
        assertThrows(Exception.class, () -> call(input.toString(), ", temprature => 1"));
    assertTrue(unknown.getMessage().contains("temprature"), unknown.getMessage());
  }

  @Test
  void testTooManyFailedRowsAreAnError() {
    spark
        .sql("SELECT explode(array('', 'ada 11 . ada', '')) AS prompt")
        .createOrReplaceTempView("bad");
    BulkgenException e = assertThrows(BulkgenException.class, () -> call("bad", ""));
    assertEquals(ErrorCode.TOO_MANY_ROW_ERRORS, e.code());
    assertEquals(2L, call("bad", ", max_error_rate => 1").<Long>getAs("rows_failed"));
  }

  @ParameterizedTest
  @EnumSource
  void testEverySettingOfASessionIsAParameter(TaskType task) {
    Set<String> names =
        Stream.of(new JobProcedure(task).parameters())
            .map(ProcedureParameter::name)
            .collect(Collectors.toSet());
    SettingCatalogue.of(task).stream()
        .filter(SessionSettings::isAllowed)
        .forEach(
            setting ->
                assertTrue(names.contains(setting.name().replace('-', '_')), setting.name()));
  }

  @Test
  void testShowProcedures() {
    List<Row> shown = spark.sql("SHOW PROCEDURES IN bulkgen.system").collectAsList();
    assertEquals(2, shown.size(), shown.toString());
    assertTrue(shown.get(0).toString().contains("generate"), shown.toString());
    assertTrue(shown.get(1).toString().contains("score"), shown.toString());
  }
}
