package dev.bulkgen.spark.api;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.expr;
import static org.apache.spark.sql.functions.udf;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.job.JobReport;
import dev.bulkgen.spark.job.JobRun;
import dev.bulkgen.spark.storage.ParquetFooter;
import dev.bulkgen.spark.storage.Storage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.util.LongAccumulator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TestBulkgen {
  private static final SparkSession SPARK = Sessions.shared();
  private static final int ROWS = 24;

  @TempDir Path folder;

  private Path output;
  private Path file;
  private Dataset<Row> rows;

  @BeforeEach
  void prepare() throws Exception {
    output = folder.resolve("out put");
    file = JobRun.prompts(folder.resolve("in.jsonl"), ROWS);
    rows = SPARK.read().json(file.toString());
  }

  private Bulkgen bulkgen() {
    return Bulkgen.on(SPARK)
        .model(JobRun.MODEL)
        .kvCache("kivi2")
        .maxTokens(4)
        .temperature(0)
        .set("memory", "64MB")
        .set("max-batch", "16")
        .set("unit-rows", "10")
        .idColumn("id");
  }

  private Bulkgen there() {
    return bulkgen().output(output.toString());
  }

  private static Map<String, String> texts(Dataset<Row> results) {
    Map<String, String> texts = new TreeMap<>();
    results
        .collectAsList()
        .forEach(row -> texts.put(row.getAs("id"), row.<String>getAs("generated_text")));
    return texts;
  }

  @Test
  void testDataFrameAndFileGiveTheSameTexts() {
    Dataset<Row> results = there().generate(rows.repartition(5));
    assertEquals(
        List.of("answer", "id", "prompt", "generated_text"),
        List.of(results.columns()).subList(0, 4));
    Map<String, String> texts = texts(results);
    assertEquals(ROWS, texts.size());
    assertEquals(
        texts,
        texts(bulkgen().output(folder.resolve("file").toString()).generate(file.toString())));
    assertTrue(Files.exists(output.resolve("_SUCCESS")));
    assertFalse(Files.exists(output.resolve("_bulkgen/input")), "the plan holds the rows");
  }

  @Test
  void testScore() {
    Bulkgen scoring =
        Bulkgen.on(SPARK)
            .model(JobRun.MODEL)
            .set("memory", "64MB")
            .set("max-batch", "16")
            .promptTemplate("{prompt} ")
            .completionColumn("answer")
            .idColumn("id");
    Dataset<Row> scores = scoring.output(output.toString()).score(rows.repartition(5));
    assertEquals(ROWS, scores.where("loglikelihood < 0 and num_tokens > 0").count());
    assertEquals(
        scores.select("id", "loglikelihood").orderBy("id").collectAsList(),
        scoring
            .output(folder.resolve("file").toString())
            .score(file.toString())
            .select("id", "loglikelihood")
            .orderBy("id")
            .collectAsList());
    assertEquals(
        1, scoring.output(output.toString()).run(TaskType.SCORE, rows).report().reusedUnits());
    BulkgenException other = assertThrows(BulkgenException.class, () -> there().run(rows));
    assertTrue(other.getMessage().contains("task: was score"), other.getMessage());
    // Without an output, the two tasks have folders of their own.
    String whole =
        Bulkgen.on(SPARK)
            .set("memory", "64MB")
            .model(JobRun.MODEL)
            .textColumn("prompt")
            .score(rows)
            .inputFiles()[0];
    assertTrue(whole.contains("/target/warehouse/bulkgen/"), whole);
  }

  @Test
  void testSecondCallRunsOnlyWhatIsMissing() throws Exception {
    assertEquals(3, there().run(rows).report().plannedUnits());
    Map<String, byte[]> shards = JobRun.shards(output);
    String lost = shards.keySet().iterator().next();
    Files.delete(output.resolve(lost));
    // The same rows in another order and other partitions.
    JobReport again =
        there().run(rows.repartition(7).sortWithinPartitions(col("id").desc())).report();
    assertEquals(2, again.reusedUnits());
    JobRun.shards(output)
        .forEach((name, bytes) -> assertArrayEquals(shards.get(name), bytes, name));
    assertEquals(3, there().run(rows).report().reusedUnits());
  }

  @Test
  void testOtherRowsAreRefused() {
    there().run(rows);
    BulkgenException e =
        assertThrows(BulkgenException.class, () -> there().run(rows.where("id > 'r001'")));
    assertEquals(ErrorCode.SETTINGS_CHANGED, e.code());
    assertTrue(e.getMessage().contains("input: it is not what"), e.getMessage());
  }

  @Test
  void testWithoutOutputTheSameCallFindsItsFolderAgain() {
    Dataset<Row> results = bulkgen().generate(rows);
    assertEquals(ROWS, results.count());
    assertEquals(3, bulkgen().run(rows.repartition(3)).report().reusedUnits());
    Dataset<Row> others = bulkgen().maxTokens(3).generate(rows);
    assertNotEquals(results.inputFiles()[0], others.inputFiles()[0]);
    assertTrue(results.inputFiles()[0].contains("/target/warehouse/bulkgen/"));
  }

  @Test
  void testNamedRowsAreNotRunAgain() {
    LongAccumulator runs = SPARK.sparkContext().longAccumulator();
    Dataset<Row> drawn =
        rows.withColumn("draw", expr("rand()"))
            .withColumn(
                "prompt",
                udf(
                        (UDF1<String, String>)
                            prompt -> {
                              runs.add(1);
                              return prompt;
                            },
                        DataTypes.StringType)
                    .asNondeterministic()
                    .apply(col("prompt")));
    there().inputName("drawn once").run(drawn);
    assertEquals(ROWS, runs.value());
    assertEquals(3, there().inputName("drawn once").run(drawn).report().reusedUnits());
    assertEquals(ROWS, runs.value());
    assertEquals(
        ErrorCode.SETTINGS_CHANGED,
        assertThrows(BulkgenException.class, () -> there().run(drawn)).code());
  }

  @Test
  void testSessionsTimeZoneChangesNothing() {
    Dataset<Row> timed = rows.withColumn("at", expr("timestamp_seconds(1700000000)")).limit(3);
    there().run(timed);
    SparkSession elsewhere = SPARK.newSession();
    elsewhere.conf().set("spark.sql.session.timeZone", "Asia/Tokyo");
    elsewhere.conf().set("spark.sql.ansi.enabled", "false");
    Dataset<Row> same =
        elsewhere
            .read()
            .json(file.toString())
            .withColumn("at", expr("timestamp_seconds(1700000000)"))
            .limit(3);
    assertEquals(1, Bulkgen.on(elsewhere).set(settings()).run(same).report().reusedUnits());
  }

  @Test
  void testSessionChangesNoKey() {
    SparkSession elsewhere = SPARK.newSession();
    Map.of(
            "spark.sql.session.timeZone", "Asia/Tokyo",
            "spark.sql.ansi.enabled", "false",
            "spark.sql.legacy.timeParserPolicy", "LEGACY",
            "spark.sql.datetime.java8API.enabled", "true",
            "spark.sql.binaryOutputStyle", "HEX")
        .forEach(elsewhere.conf()::set);
    assertEquals(drawn(SPARK, "here"), drawn(elsewhere, "there"));
  }

  /** By timestamps as ids, but for a row without one, which has the key of its content. */
  private Map<String, String> drawn(SparkSession session, String place) {
    Dataset<Row> timed =
        session
            .read()
            .json(file.toString())
            .withColumn("at", expr("timestamp_seconds(nullif(cast(substr(id, 2) as int), 0))"))
            .withColumn("old", expr("timestamp_seconds(-30000000000)"))
            .limit(4);
    return texts(
        Bulkgen.on(session)
            .set(settings())
            .idColumn("at")
            .temperature(1)
            .set("seed", "5")
            .output(folder.resolve(place).toString())
            .generate(timed));
  }

  @ParameterizedTest
  @ValueSource(strings = {"TIMESTAMP_MILLIS", "INT96"})
  void testSessionsParquetSettingsChangeNoColumn(String timestamps) throws Exception {
    SparkSession session = SPARK.newSession();
    Map<String, String> parquet =
        Map.of(
            "spark.sql.parquet.outputTimestampType", timestamps,
            "spark.sql.parquet.writeLegacyFormat", "true",
            "spark.sql.parquet.datetimeRebaseModeInWrite", "LEGACY",
            "spark.sql.parquet.int96RebaseModeInWrite", "LEGACY",
            "spark.sql.parquet.compression.codec", "gzip");
    parquet.forEach(session.conf()::set);
    session.read().json(file.toString()).createOrReplaceTempView("mine");
    session.udf().register("same", (UDF1<String, String>) id -> id, DataTypes.StringType);
    Dataset<Row> given =
        session.sql(
            "select prompt, same(id) as id, date'1000-01-01' as day, 1.5BD as price,"
                + " timestamp'2024-01-01 00:00:00.123456' as at,"
                + " timestamp'1000-01-01 00:00:00.123456' as old from mine limit 3");
    Bulkgen job = Bulkgen.on(session).set(settings());
    SparkContext spark = SPARK.sparkContext();
    // As a query around the call would hand them to tasks.
    parquet.forEach(spark::setLocalProperty);
    try {
      Dataset<Row> results = job.generate(given);
      String columns = "id, day, price, at, old";
      assertEquals(told(given, columns), told(results, columns));
      assertEquals(1, job.run(given).report().reusedUnits());
    } finally {
      parquet.keySet().forEach(name -> spark.setLocalProperty(name, null));
    }
    Storage storage = Storage.of(new org.apache.hadoop.fs.Path("" + output), new Configuration());
    for (String shard : JobRun.shards(output).keySet()) {
      var footer = ParquetFooter.read(storage, new org.apache.hadoop.fs.Path(output + "/" + shard));
      assertFalse(footer.orElseThrow().containsKey("org.apache.spark.legacyDateTime"), shard);
    }
  }

  private static List<String> told(Dataset<Row> rows, String columns) {
    return rows.orderBy("id")
        .selectExpr("cast(struct(" + columns + ") as string)")
        .as(Encoders.STRING())
        .collectAsList();
  }

  private Map<String, String> settings() {
    return Map.of(
        "model", JobRun.MODEL,
        "kv-cache", "kivi2",
        "max-tokens", "4",
        "temperature", "0",
        "memory", "64MB",
        "max-batch", "16",
        "unit-rows", "10",
        "id-column", "id",
        "output", output.toString());
  }

  @Test
  void testSessionGivesWhatTheCallDoesNot() {
    SparkSession session = SPARK.newSession();
    settings().forEach((name, value) -> session.conf().set("spark.bulkgen." + name, value));
    Dataset<Row> results = Bulkgen.on(session).maxTokens(2).generate(file.toString());
    results
        .select("usage.completion_tokens")
        .collectAsList()
        .forEach(row -> assertEquals(2, row.getInt(0)));
  }

  @Test
  void testAllMistakesAtOnce() {
    BulkgenException e =
        assertThrows(
            BulkgenException.class,
            () -> there().set("temprature", "1").set("top-p", "2").set("master", "x").run(rows));
    for (String part :
        List.of("did you mean temperature?", "top-p: 2", "'master' belongs to the command line")) {
      assertTrue(e.getMessage().contains(part), part + " in " + e.getMessage());
    }
    assertFalse(Files.exists(output));
  }

  @Test
  void testPathsAreNoPatterns() throws Exception {
    output = folder.resolve("out[1]{2}");
    assertEquals(ROWS, there().generate(rows).count());
    Path input = Files.move(file, folder.resolve("in[1].jsonl"));
    output = folder.resolve("out*");
    assertEquals(ROWS, there().generate(input.toString()).count());
    assertEquals(3, there().run(input.toString()).report().reusedUnits());
  }

  @Test
  void testAnOutputInItsInputIsRefused() {
    BulkgenException e =
        assertThrows(BulkgenException.class, () -> there().generate(folder.toString()));
    assertTrue(e.getMessage().contains("out put lies in its input"), e.getMessage());
    assertFalse(Files.exists(output));
  }

  @Test
  void testNoRowsAndNoColumnAreRefusedAndLeaveNothing() {
    assertEquals(
        ErrorCode.INPUT_INVALID,
        assertThrows(BulkgenException.class, () -> there().run(rows.limit(0))).code());
    assertEquals(
        ErrorCode.COLUMN_NOT_FOUND,
        assertThrows(BulkgenException.class, () -> there().run(rows.drop("prompt"))).code());
    assertFalse(Files.exists(output));
  }
}
