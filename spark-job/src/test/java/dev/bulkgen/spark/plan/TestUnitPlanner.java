package dev.bulkgen.spark.plan;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.source.PromptSource;
import dev.bulkgen.spark.source.PromptTable;
import dev.bulkgen.spark.storage.Storage;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TestUnitPlanner {
  private static final SparkSession SPARK = Sessions.shared();

  private static final Set<String> SCORED = Set.of("completion-column", "text-column");

  @TempDir Path folder;

  private JobSettings settings(Path input, String... pairs) {
    Map<String, String> values = new HashMap<>();
    values.put("model", "none");
    values.put("input", input.toString());
    values.put("output", folder.resolve("out").toString());
    for (int index = 0; index < pairs.length; index += 2) {
      values.put(pairs[index], pairs[index + 1]);
    }
    TaskType task =
        values.keySet().stream().anyMatch(SCORED::contains) ? TaskType.SCORE : TaskType.GENERATE;
    return JobSettingsReader.read(task, values);
  }

  private UnitPlan freeze(JobSettings settings, String name) {
    PromptTable table = PromptSource.open(SPARK, settings.input());
    org.apache.hadoop.fs.Path target =
        new org.apache.hadoop.fs.Path(folder.resolve(name).toString());
    PlanFolder plans = new PlanFolder(Storage.of(target, new Configuration()), target);
    UnitPlan plan = plans.freeze(UnitPlanner.measure(SPARK, settings, table));
    assertEquals(plan, plans.read().orElseThrow());
    return plan;
  }

  private List<Row> rows(String name) {
    return SPARK.read().parquet(folder.resolve(name) + "/*.parquet").collectAsList();
  }

  private Path lines(int count) throws Exception {
    List<String> lines = new ArrayList<>();
    for (int index = 0; index < count; index++) {
      lines.add("{\"prompt\":\"" + "word ".repeat(index % 37) + "x\",\"n\":" + index % 50 + "}");
    }
    return Files.write(folder.resolve("in.jsonl"), lines);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 7, 30, 1000})
  void testUnitRows(int unitRows) throws Exception {
    UnitPlan plan = freeze(settings(lines(30), "unit-rows", String.valueOf(unitRows)), "plan");
    assertEquals((30 + unitRows - 1) / unitRows, plan.units().size());
    assertEquals(30, plan.rows());
    assertTrue(plan.units().stream().allMatch(unit -> unit.rows() <= unitRows));
    Set<Long> ordinals = new HashSet<>();
    rows("plan").forEach(row -> ordinals.add(row.getLong(PlanSchema.ORDINAL)));
    assertEquals(30, ordinals.size());
  }

  /** Of four bytes a token: what is scored costs as what is before it; nothing is generated. */
  @ParameterizedTest
  @CsvSource({
    "completion-column, one, 12",
    "completion-column, texts, 13",
    "completion-column, ids, 12",
    "completion-column, lists, 15",
    "completion-column, none, 10",
    "text-column, one, 2",
    "text-column, lists, 5"
  })
  void testScoredTokensCount(String setting, String column, long cost) throws Exception {
    Path input =
        Files.writeString(
            folder.resolve("in.jsonl"),
            "{\"prompt\":\""
                + "word".repeat(10)
                + "\",\"one\":\"two ones\",\"texts\":[\"four\",null,\"and five\"],"
                + "\"ids\":[1,2],\"lists\":[[1,2],[3,4,5]],\"none\":null}\n");
    assertEquals(cost, freeze(settings(input, setting, column), "plan").cost());
  }

  @Test
  void testLongestRowsComeFirst() throws Exception {
    freeze(settings(lines(200), "unit-rows", "200"), "plan");
    long before = Long.MAX_VALUE;
    for (Row row : rows("plan")) {
      assertTrue(row.getLong(PlanSchema.COST) <= before);
      before = row.getLong(PlanSchema.COST);
    }
  }

  /** Documents with a few questions each, all mixed up. */
  private Path documents(int documents, int questions) throws Exception {
    List<String> lines = new ArrayList<>();
    for (int question = 0; question < questions; question++) {
      for (int document = 0; document < documents; document++) {
        String text = ("document " + document + " says ").repeat(30);
        lines.add("{\"prompt\":\"" + text + "question " + "so ".repeat(question) + "\"}");
      }
    }
    return Files.write(folder.resolve("documents.jsonl"), lines);
  }

  private static String document(Row row) {
    return row.getStruct(PlanSchema.ROW).getString(0).substring(0, 256);
  }

  @Test
  void testRowsThatBeginAlikeAreInOneUnitAndTogether() throws Exception {
    UnitPlan plan = freeze(settings(documents(20, 5), "unit-rows", "25"), "plan");
    assertEquals(4, plan.units().size());
    Set<String> seen = new HashSet<>();
    for (UnitSpec unit : plan.units()) {
      List<Row> rows =
          SPARK
              .read()
              .parquet(folder.resolve("plan/" + unit.fileName()).toString())
              .collectAsList();
      for (int row = 0; row < rows.size(); row += 5) {
        assertTrue(seen.add(document(rows.get(row))), "a document in two places");
        for (int next = row + 1; next < row + 5; next++) {
          assertEquals(document(rows.get(row)), document(rows.get(next)));
          assertTrue(
              rows.get(next).getLong(PlanSchema.COST)
                  <= rows.get(next - 1).getLong(PlanSchema.COST));
        }
      }
    }
    assertEquals(20, seen.size());
  }

  @Test
  void testWithoutSharedBeginningsUnitsKeepTheOrderOfTheInput() throws Exception {
    UnitPlan plan = freeze(settings(lines(90), "unit-rows", "30"), "plan");
    for (UnitSpec unit : plan.units()) {
      SPARK
          .read()
          .parquet(folder.resolve("plan/" + unit.fileName()).toString())
          .collectAsList()
          .forEach(row -> assertEquals(unit.unit(), row.getLong(PlanSchema.ORDINAL) / 30));
    }
  }

  @Test
  void testADamagedPlanFileIsNamedBeforeItIsRead() throws Exception {
    UnitPlan plan = freeze(settings(lines(30)), "plan");
    Path file = folder.resolve("plan").resolve(plan.units().get(0).fileName());
    org.apache.hadoop.fs.Path plans = new org.apache.hadoop.fs.Path(file.getParent().toString());
    Storage storage = Storage.of(plans, new Configuration());
    plan.units().get(0).verified(storage, plans);
    byte[] bytes = Files.readAllBytes(file);
    bytes[30] ^= 4;
    Files.write(file, bytes);
    BulkgenException e =
        assertThrows(BulkgenException.class, () -> plan.units().get(0).verified(storage, plans));
    assertTrue(e.getMessage().contains(file.getFileName().toString()), e.getMessage());
  }

  @Test
  void testADescriptionThatWasChangedIsRefused() throws Exception {
    freeze(settings(lines(30)), "plan");
    Path file = folder.resolve("plan/plan.json");
    Files.writeString(file, Files.readString(file).replaceFirst("parquet\",30,", "parquet\",31,"));
    org.apache.hadoop.fs.Path plans = new org.apache.hadoop.fs.Path(file.getParent().toString());
    PlanFolder damaged = new PlanFolder(Storage.of(plans, new Configuration()), plans);
    assertEquals(
        ErrorCode.STORAGE_FAILED, assertThrows(BulkgenException.class, damaged::read).code());
  }

  @Test
  void testKeysDoNotDependOnUnitsOrFiles() throws Exception {
    Path one = lines(200);
    freeze(settings(one, "unit-rows", "200"), "plan-1");
    freeze(settings(one, "unit-rows", "40"), "plan-2");
    Path parts = Files.createDirectory(folder.resolve("parts"));
    List<String> all = Files.readAllLines(one);
    Files.write(parts.resolve("b.jsonl"), all.subList(0, 150));
    Files.write(parts.resolve("a.jsonl"), all.subList(150, 200));
    freeze(settings(parts, "unit-rows", "50"), "plan-3");
    Set<String> keys = keys("plan-1");
    assertEquals(200, keys.size());
    assertEquals(keys, keys("plan-2"));
    assertEquals(keys, keys("plan-3"));
  }

  private Set<String> keys(String name) {
    Set<String> keys = new HashSet<>();
    rows(name).forEach(row -> keys.add(row.getString(PlanSchema.KEY)));
    return keys;
  }

  @Test
  void testEqualRowsHaveKeysOfTheirOwn() throws Exception {
    Path input = Files.writeString(folder.resolve("in.jsonl"), "{\"prompt\":\"a\"}\n".repeat(9));
    freeze(settings(input), "plan");
    assertEquals(9, keys("plan").size());
  }

  @Test
  void testDigestIsThatOfRowsAndUnits() throws Exception {
    Path input = lines(100);
    String digest = freeze(settings(input, "unit-rows", "40"), "plan-1").digest();
    assertEquals(digest, freeze(settings(input, "unit-rows", "40"), "plan-2").digest());
    assertFalse(digest.equals(freeze(settings(input, "unit-rows", "41"), "plan-3").digest()));
  }

  @Test
  void testMalformedLinesNameFileAndLine() throws Exception {
    byte[] invalid = {'{', '"', 'p', 'r', 'o', 'm', 'p', 't', '"', ':', '"', (byte) 0xff, '"', '}'};
    Path input = folder.resolve("in put.jsonl");
    try (var out = Files.newOutputStream(input)) {
      out.write("{\"prompt\":\"a\"}\n\n{\"prompt\":\n[1]\n".getBytes(StandardCharsets.UTF_8));
      out.write(invalid);
      out.write(
          "\n{\"prompt\":\"b\",\"prompt\":\"c\"}\n{\"prompt\":\"z\"} x\n"
              .getBytes(StandardCharsets.UTF_8));
    }
    UnitPlan plan = freeze(settings(input), "plan");
    assertEquals(6, plan.rows());
    Map<Long, String> errors = new HashMap<>();
    for (Row row : rows("plan")) {
      if (!row.isNullAt(PlanSchema.ERROR)) {
        assertTrue(row.isNullAt(PlanSchema.ROW));
        errors.put(row.getLong(PlanSchema.ORDINAL), row.getString(PlanSchema.ERROR));
      }
    }
    assertEquals(Set.of(2L, 3L, 4L, 5L, 6L), errors.keySet());
    assertTrue(errors.get(2L).contains("in put.jsonl, line 3: not valid JSON"), errors.get(2L));
    assertTrue(errors.get(3L).contains("line 4: not a JSON object"), errors.get(3L));
    assertTrue(errors.get(4L).contains("line 5: not valid UTF-8"), errors.get(4L));
    assertTrue(errors.get(5L).contains("line 6: not valid JSON: Duplicate field"), errors.get(5L));
    assertTrue(errors.get(6L).contains("line 7:"), errors.get(6L));
  }

  @Test
  void testLimit() throws Exception {
    UnitPlan plan = freeze(settings(lines(100), "limit", "13"), "plan");
    assertEquals(13, plan.rows());
    rows("plan").forEach(row -> assertTrue(row.getLong(PlanSchema.ORDINAL) < 13));
  }

  @Test
  void testIdsNameRows() throws Exception {
    Path input = folder.resolve("in.csv");
    Files.writeString(input, "id,prompt\n007,\"two\nlines\"\n8,\"a \"\"quote\"\"\"\n");
    freeze(settings(input, "id-column", "id"), "plan");
    assertEquals(Set.of("id:007#0", "id:8#0"), keys("plan"));
    Set<String> prompts = new HashSet<>();
    rows("plan").forEach(row -> prompts.add(row.getStruct(PlanSchema.ROW).getString(1)));
    assertEquals(Set.of("two\nlines", "a \"quote\""), prompts);
  }

  @Test
  void testDuplicateIdsAreNamed() throws Exception {
    Path input = folder.resolve("in.csv");
    Files.writeString(input, "id,prompt\n7,a\n8,b\n7,c\n");
    BulkgenException e =
        assertThrows(
            BulkgenException.class, () -> freeze(settings(input, "id-column", "id"), "plan"));
    assertEquals(ErrorCode.INPUT_INVALID, e.code());
    assertTrue(e.getMessage().contains("7 (2 times)"), e.getMessage());
  }

  @Test
  void testCsvRowWithTooManyFieldsIsARowError() throws Exception {
    Path input = folder.resolve("in.csv");
    Files.writeString(input, "id,prompt\n7,a\n8,b,c\n");
    freeze(settings(input), "plan");
    List<Row> bad = rows("plan").stream().filter(row -> !row.isNullAt(PlanSchema.ERROR)).toList();
    assertEquals(1, bad.size());
    assertTrue(bad.get(0).getString(PlanSchema.ERROR).contains("8,b,c"));
  }

  @Test
  void testTextIsARowALine() throws Exception {
    Path input = Files.writeString(folder.resolve("in.txt"), "one\n\ntwo {x}\n");
    UnitPlan plan = freeze(settings(input), "plan");
    assertEquals(2, plan.rows());
    assertEquals("text", plan.inputSchema().fieldNames()[0]);
  }

  @Test
  void testColumnsKeepTheFilesOrderAndTypes() throws Exception {
    Path input = folder.resolve("in.jsonl");
    Files.writeString(
        input,
        "{\"prompt\":\"a\",\"b\":{\"x\":[1,2]},\"a\":1.5}\n{\"late\":true,\"prompt\":\"b\"}\n");
    UnitPlan plan = freeze(settings(input), "plan");
    assertEquals(
        "struct<prompt:string,b:struct<x:array<bigint>>,a:double,late:boolean>",
        plan.inputSchema().simpleString());
  }

  @Test
  void testManySplitsKeepLineNumbers() throws Exception {
    SPARK.conf().set("spark.sql.files.maxPartitionBytes", "4000");
    try {
      List<String> lines = new ArrayList<>(Files.readAllLines(lines(300)));
      lines.set(171, "");
      lines.set(211, "{broken");
      Path input = Files.write(folder.resolve("in.jsonl"), lines);
      freeze(settings(input, "unit-rows", "100"), "plan");
      List<Row> bad = rows("plan").stream().filter(row -> !row.isNullAt(PlanSchema.ERROR)).toList();
      assertEquals(1, bad.size());
      assertTrue(bad.get(0).getString(PlanSchema.ERROR).contains("line 212:"));
    } finally {
      SPARK.conf().unset("spark.sql.files.maxPartitionBytes");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "\n\n", "[1]\n"})
  void testInputWithoutRowsIsRefused(String content) throws Exception {
    Path input = Files.writeString(folder.resolve("in.jsonl"), content);
    BulkgenException e =
        assertThrows(BulkgenException.class, () -> freeze(settings(input), "plan"));
    assertEquals(ErrorCode.INPUT_INVALID, e.code());
    assertTrue(e.getMessage().contains("in.jsonl"), e.getMessage());
  }

  @Test
  void testMissingInputIsNamed() {
    BulkgenException e =
        assertThrows(
            BulkgenException.class, () -> freeze(settings(folder.resolve("absent.jsonl")), "plan"));
    assertEquals(ErrorCode.INPUT_NOT_FOUND, e.code());
  }

  @Test
  void testNamesThatDifferInCaseAreRefused() throws Exception {
    Path input =
        Files.writeString(folder.resolve("in.jsonl"), "{\"prompt\":\"a\",\"Prompt\":\"b\"}\n");
    BulkgenException e =
        assertThrows(BulkgenException.class, () -> freeze(settings(input), "plan"));
    assertEquals(ErrorCode.INPUT_INVALID, e.code());
  }

  @Test
  void testBrokenParquetIsNamed() throws Exception {
    Path input = Files.writeString(folder.resolve("in.parquet"), "not parquet at all");
    BulkgenException e =
        assertThrows(BulkgenException.class, () -> freeze(settings(input), "plan"));
    assertEquals(ErrorCode.INPUT_INVALID, e.code());
    assertTrue(e.getMessage().contains("in.parquet"), e.getMessage());
  }
}
