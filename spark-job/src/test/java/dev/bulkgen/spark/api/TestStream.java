package dev.bulkgen.spark.api;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.job.JobRun;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.api.java.function.VoidFunction2;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.StreamingQuery;
import org.apache.spark.sql.streaming.Trigger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Scheduled runs over a folder that grows. */
class TestStream {
  private static final SparkSession SPARK = Sessions.shared();

  @TempDir Path folder;

  private Path input;
  private Path output;
  private Path checkpoint;
  private List<String> lines;

  @BeforeEach
  void prepare() throws Exception {
    input = Files.createDirectory(folder.resolve("in"));
    output = folder.resolve("out");
    checkpoint = folder.resolve("checkpoint");
    lines = Files.readAllLines(JobRun.prompts(folder.resolve("all.jsonl"), 12));
  }

  private Bulkgen bulkgen() {
    return Bulkgen.on(SPARK)
        .model(JobRun.MODEL)
        .maxTokens(2)
        .temperature(0)
        .set("memory", "64MB")
        .set("max-batch", "16")
        .output(output.toString());
  }

  private void arrive(String name, int from, int to) throws Exception {
    Files.write(input.resolve(name), lines.subList(from, to));
  }

  /** What a scheduler starts each night: generates for what is new, and ends. */
  private void run() throws Exception {
    run(bulkgen().foreachBatch());
  }

  private void run(VoidFunction2<Dataset<Row>, Long> batches) throws Exception {
    StreamingQuery query =
        SPARK
            .readStream()
            .schema("id STRING, prompt STRING, answer STRING")
            .json(input.toString())
            .writeStream()
            .option("checkpointLocation", checkpoint.toString())
            .trigger(Trigger.AvailableNow())
            .foreachBatch(batches)
            .start();
    query.awaitTermination();
  }

  private JsonNode report(int batch) throws Exception {
    return new ObjectMapper()
        .readTree(output.resolve("batch=" + batch + "/_bulkgen/report.json").toFile());
  }

  private Map<Integer, Long> rowsByBatch() {
    Map<Integer, Long> rows = new TreeMap<>();
    for (Row row :
        SPARK.read().parquet(output.toString()).groupBy("batch").count().collectAsList()) {
      rows.put(row.getInt(0), row.getLong(1));
    }
    return rows;
  }

  @Test
  void testEachRunTakesWhatIsNew() throws Exception {
    arrive("monday.jsonl", 0, 5);
    run();
    assertEquals(Map.of(0, 5L), rowsByBatch());
    run();
    assertEquals(Map.of(0, 5L), rowsByBatch(), "nothing new, nothing done");
    arrive("tuesday.jsonl", 5, 12);
    run();
    assertEquals(Map.of(0, 5L, 1, 7L), rowsByBatch());
    assertEquals(7, report(1).get("rows_done").asInt());
    assertEquals(12, SPARK.read().parquet(output.toString()).select("id").distinct().count());
  }

  @Test
  void testScoresWhatIsNew() throws Exception {
    arrive("monday.jsonl", 0, 5);
    Bulkgen scoring =
        Bulkgen.on(SPARK)
            .model(JobRun.MODEL)
            .promptTemplate("{prompt} ")
            .completionColumn("answer")
            .set("memory", "64MB")
            .output(output.toString());
    run(scoring.foreachBatch(TaskType.SCORE));
    arrive("tuesday.jsonl", 5, 12);
    run(scoring.foreachBatch(TaskType.SCORE));
    assertEquals(Map.of(0, 5L, 1, 7L), rowsByBatch());
    assertEquals(7, report(1).get("completions_scored").asInt());
  }

  /** Spark died after the batch was done, before it noted so. */
  @Test
  void testReplayedBatchDoesNoWorkTwice() throws Exception {
    arrive("monday.jsonl", 0, 5);
    run();
    assertEquals(1, report(0).get("units_run").asInt());
    Map<String, byte[]> shards = JobRun.shards(output.resolve("batch=0"));
    Files.delete(checkpoint.resolve("commits/0"));
    Files.deleteIfExists(checkpoint.resolve("commits/.0.crc"));
    run();
    assertEquals(0, report(0).get("units_run").asInt());
    assertEquals(1, report(0).get("units_reused").asInt());
    assertEquals(shards.keySet(), JobRun.shards(output.resolve("batch=0")).keySet());
    assertEquals(Map.of(0, 5L), rowsByBatch());
  }

  /** A lost checkpoint numbers batches from 0 again, with other rows. */
  @Test
  void testBatchOfOtherRowsIsRefused() throws Exception {
    bulkgen().generateBatch(SPARK.read().json(folder.resolve("all.jsonl").toString()), 0);
    BulkgenException e =
        assertThrows(
            BulkgenException.class,
            () ->
                bulkgen()
                    .generateBatch(
                        SPARK.read().json(folder.resolve("all.jsonl").toString()).limit(3), 0));
    assertEquals(ErrorCode.SETTINGS_CHANGED, e.code());
    BulkgenException none =
        assertThrows(
            BulkgenException.class,
            () -> Bulkgen.on(SPARK).generateBatch(SPARK.range(1).toDF(), 0));
    assertTrue(none.getMessage().contains("set 'output'"), none.getMessage());
  }
}
