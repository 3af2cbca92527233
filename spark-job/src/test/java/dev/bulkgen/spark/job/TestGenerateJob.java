package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.RunSettings.ResumeMode;
import dev.bulkgen.spark.ledger.Ledger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestGenerateJob {
  private static final SparkSession SPARK = Sessions.shared();

  @TempDir Path folder;

  private Path output;

  @BeforeEach
  void nameOutput() {
    output = folder.resolve("out put");
  }

  private JobRun job(Path input) {
    return new JobRun(SPARK, input, output);
  }

  private Path write(String name, String... lines) throws Exception {
    return Files.write(folder.resolve(name), List.of(lines));
  }

  private ErrorCode refused(JobRun run) {
    return assertThrows(BulkgenException.class, run::run).code();
  }

  @Test
  void testAnswersAreRightAndTheReportSaysSo() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 40);
    JobRun run = job(input).with("answer-column", "answer", "unit-rows", "15", "max-tokens", "2");
    JobReport report = run.run();
    assertEquals(JobReport.Outcome.DONE, report.outcome());
    assertTrue(Files.exists(output.resolve("_SUCCESS")));
    JsonNode json = new ObjectMapper().readTree(output.resolve("_bulkgen/report.json").toFile());
    assertEquals(40, json.get("rows_done").asInt());
    assertEquals(0, json.get("rows_failed").asInt());
    assertEquals(3, json.get("units_run").asInt());
    assertEquals(80, json.get("completion_tokens").asInt());
    assertEquals(40, json.get("answers_known").asInt());
    assertTrue(json.get("answers_right").asInt() >= 38, json.toString());
    assertTrue(
        json.at("/engine/cache_bytes_peak").asLong()
            <= json.at("/engine/cache_bytes_planned").asLong());
    assertTrue(run.text().contains("Memory plan"), run.text());
    long right =
        JobRun.read(SPARK, output).stream()
            .filter(
                row -> row.<String>getAs("generated_text").strip().startsWith(row.getAs("answer")))
            .count();
    assertEquals(json.get("answers_right").asLong(), right);
  }

  @Test
  void testRowErrorsStayInTheirRows() throws Exception {
    Path input =
        write(
            "in.jsonl",
            "{\"prompt\":\"ada 11 . ada\",\"n\":1}",
            "{broken",
            "{\"prompt\":null,\"n\":3}",
            "{\"prompt\":\"\",\"n\":4}",
            "{\"prompt\":\"" + "ada 11 . ".repeat(900) + "\",\"n\":5}",
            "{\"prompt\":\"ana 12 . ana\",\"n\":6}");
    JobReport report = job(input).with("max-error-rate", "1").run();
    assertEquals(
        Map.of("ROW_MALFORMED", 1L, "PROMPT_EMPTY", 2L, "PROMPT_TOO_LONG", 1L), report.errors());
    Map<Object, String> codes = new HashMap<>();
    for (Row row : JobRun.read(SPARK, output)) {
      Row error = row.getAs("error");
      codes.put(row.getAs("n"), error == null ? "" : error.getString(0));
      assertEquals(error == null, row.getAs("generated_text") != null);
      assertEquals(error != null, "error".equals(row.getAs("finish_reason")));
      if (row.getAs("n") == null) {
        assertTrue(error.getString(1).contains("in.jsonl, line 2"), error.getString(1));
      }
    }
    assertEquals(6, codes.size());
    assertEquals("", codes.get(1L));
    assertEquals("ROW_MALFORMED", codes.get(null));
    assertEquals("PROMPT_EMPTY", codes.get(3L));
    assertEquals("PROMPT_EMPTY", codes.get(4L));
    assertEquals("PROMPT_TOO_LONG", codes.get(5L));
  }

  @Test
  void testTooManyFailedRowsStopTheJob() throws Exception {
    List<String> lines = new ArrayList<>();
    for (int row = 0; row < 40; row++) {
      lines.add(row % 2 == 0 ? "{\"prompt\":\"\"}" : "{\"prompt\":\"ada 11 . ada\"}");
    }
    Path input = Files.write(folder.resolve("in.jsonl"), lines);
    JobReport report = job(input).with("unit-rows", "4", "max-error-rate", "0.1").run();
    assertEquals(JobReport.Outcome.TOO_MANY_FAILED_ROWS, report.outcome());
    assertTrue(report.failedRows() > 4);
    assertFalse(Files.exists(output.resolve("_SUCCESS")));
    // What was finished counts when the user allows more.
    JobReport again = job(input).with("unit-rows", "4", "max-error-rate", "1").run();
    assertEquals(JobReport.Outcome.DONE, again.outcome());
    // A unit may have been written between the stop and the end of its task.
    assertTrue(again.reusedUnits() >= report.units().size());
    assertEquals(40, JobRun.read(SPARK, output).size());
  }

  @Test
  void testResume() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 30);
    job(input).with("unit-rows", "10").run();
    List<String> rows = JobRun.rows(SPARK, output);
    assertEquals(3, job(input).with("unit-rows", "10").run().reusedUnits());
    Path shard = output.resolve(JobRun.shards(output).keySet().iterator().next());
    byte[] bytes = Files.readAllBytes(shard);
    Files.write(shard, java.util.Arrays.copyOf(bytes, bytes.length / 2));
    JobReport report = job(input).with("resume", "always").run();
    assertEquals(2, report.reusedUnits());
    assertEquals(rows, JobRun.rows(SPARK, output));
    assertEquals(ErrorCode.OUTPUT_NOT_EMPTY, refused(job(input).with("resume", "never")));
    BulkgenException changed =
        assertThrows(
            BulkgenException.class,
            () -> job(input).with("temperature", "1", "kv-cache", "fp16").run());
    assertEquals(ErrorCode.SETTINGS_CHANGED, changed.code());
    assertTrue(changed.getMessage().contains("temperature: was 0, now 1"), changed.getMessage());
    assertTrue(changed.getMessage().contains("kv-cache: was auto, now fp16"), changed.getMessage());
    Files.writeString(input, "{\"prompt\":\"ada\"}\n");
    assertEquals(ErrorCode.SETTINGS_CHANGED, refused(job(input)));
    assertEquals(rows, JobRun.rows(SPARK, output));
  }

  /** A bit flipped in the pages, the indexes or the footer: nothing else tells of it. */
  @ParameterizedTest
  @CsvSource({"0.0", "0.3", "0.9", "0.999"})
  void testResumeMakesDamagedShardsAgain(double where) throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 30);
    job(input).with("unit-rows", "10").run();
    Map<String, byte[]> shards = JobRun.shards(output);
    String name = shards.keySet().iterator().next();
    byte[] bytes = shards.get(name).clone();
    bytes[(int) (where * bytes.length)] ^= 4;
    Files.write(output.resolve(name), bytes);
    JobRun again = job(input).with("unit-rows", "10");
    assertEquals(2, again.run().reusedUnits());
    assertEquals(
        1, again.text().lines().filter(line -> line.contains("damaged")).count(), again.text());
    assertTrue(again.text().contains("made again: " + name), again.text());
    shards.forEach((shard, before) -> assertArrayEquals(before, read(output.resolve(shard))));
  }

  @Test
  void testResumeSeesMovedPartitionsAndFollowsAMovedInput() throws Exception {
    Path input = folder.resolve("in");
    Path day = Files.createDirectories(input.resolve("day=2024-01-01"));
    JobRun.prompts(day.resolve("a.jsonl"), 4);
    job(input).run();
    Path moved = Files.move(input, folder.resolve("elsewhere"));
    assertEquals(1, job(moved).run().reusedUnits());
    Files.move(moved.resolve("day=2024-01-01"), moved.resolve("day=2031-12-31"));
    assertEquals(ErrorCode.SETTINGS_CHANGED, refused(job(moved)));
  }

  /** With the results among its files, an input could never be resumed. */
  @ParameterizedTest
  @CsvSource({"in", "in/out", "in/deep/out", "in/x/../out"})
  void testAnOutputInItsInputIsRefused(String where) throws Exception {
    Path input = Files.createDirectories(folder.resolve("in"));
    JobRun.prompts(input.resolve("a.jsonl"), 2);
    output = folder.resolve(where);
    BulkgenException e = assertThrows(BulkgenException.class, () -> job(input).run());
    assertEquals(ErrorCode.SETTING_INVALID, e.code());
    assertTrue(e.getMessage().contains(": name another folder"), e.getMessage());
    assertEquals(
        ErrorCode.SETTING_INVALID,
        refused(job(input).scoring().with("completion-column", "answer")));
    assertEquals(List.of("a.jsonl"), List.of(input.toFile().list()));
  }

  /** Neither Spark nor we look into hidden folders. */
  @ParameterizedTest
  @CsvSource({"in/_out", "in next"})
  void testAnOutputBesideTheFilesIsResumed(String where) throws Exception {
    Path input = Files.createDirectories(folder.resolve("in"));
    JobRun.prompts(input.resolve("a.jsonl"), 2);
    output = folder.resolve(where);
    job(input).run();
    assertEquals(1, job(input).run().reusedUnits());
  }

  private static byte[] read(Path file) {
    try {
      return Files.readAllBytes(file);
    } catch (java.io.IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  @Test
  void testASecondDriverIsRefused() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 2);
    Ledger held =
        Ledger.open(
            output.toString(),
            ResumeMode.IF_POSSIBLE,
            SPARK.sparkContext().hadoopConfiguration(),
            notice -> {});
    assertEquals(ErrorCode.OUTPUT_LOCKED, refused(job(input)));
    held.close();
    assertFalse(Files.exists(output));
    assertEquals(2, job(input).run().rows());
  }

  @ParameterizedTest
  @CsvSource({"json", "parquet", "csv"})
  void testFormatsRoundTrip(String format) throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 6);
    Path folderInput = folder.resolve("as-" + format);
    SPARK
        .read()
        .json(input.toString())
        .write()
        .format(format)
        .option("header", "true")
        .save(folderInput.toString());
    job(folderInput).with("id-column", "id").run();
    List<Row> rows = JobRun.read(SPARK, output);
    assertEquals(6, rows.size());
    Map<String, String> prompts = new HashMap<>();
    SPARK
        .read()
        .json(input.toString())
        .collectAsList()
        .forEach(row -> prompts.put(row.getAs("id"), row.getAs("prompt")));
    rows.forEach(row -> assertEquals(prompts.get(row.<String>getAs("id")), row.getAs("prompt")));
  }

  @Test
  void testNestedColumnsAndSamplesAreKept() throws Exception {
    Path input =
        write(
            "in.jsonl",
            "{\"prompt\":[1,121,32],\"meta\":{\"tags\":[\"x\",null],\"deep\":{\"d\":0.5}},\"m\":true}",
            "{\"prompt\":[1,-4],\"meta\":{\"tags\":[],\"deep\":null},\"m\":null}");
    JobReport report = job(input).with("n", "3", "temperature", "1", "max-error-rate", "1").run();
    assertEquals(Map.of("PROMPT_INVALID", 1L), report.errors());
    List<Row> rows = JobRun.read(SPARK, output);
    assertEquals(4, rows.size());
    for (int sample = 0; sample < 3; sample++) {
      Row row = rows.get(sample);
      assertEquals(sample, row.<Integer>getAs("sample_index"));
      assertEquals(
          "[[0.5],ArraySeq(x, null)]",
          row.getAs("meta").toString().replace("WrappedArray", "ArraySeq"));
      assertEquals(4, row.getList(row.fieldIndex("token_ids")).size());
      Row usage = row.getAs("usage");
      assertEquals(3, usage.<Integer>getAs("prompt_tokens"));
    }
  }

  @Test
  void testTemplateAndText() throws Exception {
    Path table = write("in.csv", "name,value", "ada,11", "ana,12");
    job(table).with("prompt-template", "{name} {value} . {name}", "max-tokens", "1").run();
    for (Row row : JobRun.read(SPARK, output)) {
      assertEquals(row.<String>getAs("value"), row.<String>getAs("generated_text").strip());
    }
    Path text = write("in.txt", "ada 11 . ada");
    output = folder.resolve("out-text");
    job(text).run();
    assertEquals(1, JobRun.read(SPARK, output).size());
  }

  @Test
  void testDryRunWritesNothing() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 20);
    JobRun run = job(input).with("dry-run", "true", "unit-rows", "6");
    run.run();
    assertTrue(run.text().contains("20 rows in about 4 units"), run.text());
    assertFalse(Files.exists(output));
  }

  @Test
  void testWrongUseIsRefusedAndLeavesNothing() throws Exception {
    Path input = write("in.jsonl", "{\"text\":\"ada\",\"usage\":1}");
    BulkgenException e = assertThrows(BulkgenException.class, () -> job(input).run());
    assertEquals(ErrorCode.COLUMN_NOT_FOUND, e.code());
    assertTrue(e.getMessage().contains("text, usage"), e.getMessage());
    BulkgenException same =
        assertThrows(BulkgenException.class, () -> job(input).with("prompt-column", "text").run());
    assertTrue(same.getMessage().contains("'usage'"), same.getMessage());
    JobRun broken = job(write("ok.jsonl", "{\"prompt\":\"ada\"}")).with("model", folder.toString());
    assertEquals(ErrorCode.MODEL_NOT_FOUND, refused(broken));
    JobRun chat = job(folder.resolve("ok.jsonl")).with("chat", "true");
    assertEquals(ErrorCode.CHAT_TEMPLATE_INVALID, refused(chat));
    assertFalse(Files.exists(output));
    JobRun small = job(folder.resolve("ok.jsonl")).with("memory", "1k");
    assertEquals(ErrorCode.MEMORY_PLAN_REFUSED, refused(small));
    assertFalse(Files.exists(output));
    Files.createDirectories(output);
    Files.write(output.resolve("mine.txt"), "x".getBytes(StandardCharsets.UTF_8));
    assertEquals(ErrorCode.OUTPUT_NOT_EMPTY, refused(job(folder.resolve("ok.jsonl"))));
    output = output.resolve("mine.txt");
    assertEquals(ErrorCode.OUTPUT_NOT_EMPTY, refused(job(folder.resolve("ok.jsonl"))));
    output = output.resolve("below");
    assertEquals(ErrorCode.OUTPUT_NOT_WRITABLE, refused(job(folder.resolve("ok.jsonl"))));
  }
}
