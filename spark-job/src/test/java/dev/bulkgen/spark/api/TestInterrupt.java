package dev.bulkgen.spark.api;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.job.JobRun;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.StreamingQuery;
import org.apache.spark.sql.streaming.Trigger;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Calls that are ended from outside, halfway. */
class TestInterrupt {
  private static final SparkSession SPARK = Sessions.shared();
  private static final Duration MOST_WAIT = Duration.ofMinutes(1);

  @TempDir Path folder;

  private Path input;
  private Path output;

  @BeforeEach
  void prepare() throws Exception {
    input = Files.createDirectory(folder.resolve("in"));
    output = folder.resolve("out");
    JobRun.prompts(input.resolve("in.jsonl"), 64);
  }

  /** Units that take so long that most of them are to be done when the first is. */
  private Bulkgen bulkgen() {
    return Bulkgen.on(SPARK)
        .model(JobRun.MODEL)
        .maxTokens(200)
        .temperature(0)
        .set("ignore-eos", "true")
        .set("memory", "64MB")
        .set("unit-rows", "1")
        .output(output.toString());
  }

  private static List<String> names(Path folder, String start) throws Exception {
    if (!Files.exists(folder)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(name -> name.startsWith(start))
          .toList();
    }
  }

  private static void awaitFirstShard(Path results) throws Exception {
    long end = System.nanoTime() + MOST_WAIT.toNanos();
    while (names(results, "part-").isEmpty()) {
      assertTrue(System.nanoTime() < end, "no shard");
      Thread.sleep(10);
    }
  }

  private static void assertAtRest(Path results) throws Exception {
    assertEquals(0, SPARK.sparkContext().statusTracker().getActiveJobIds().length);
    assertEquals(List.of(), names(results.resolve("_bulkgen"), "lock-"));
    assertFalse(Files.exists(results.resolve("_SUCCESS")));
  }

  @Test
  void testInterruptedCallEndsItsTasks() throws Exception {
    CompletableFuture<BulkgenException> failure = new CompletableFuture<>();
    CompletableFuture<Boolean> flag = new CompletableFuture<>();
    Thread caller =
        new Thread(
            () -> {
              failure.complete(
                  assertThrows(BulkgenException.class, () -> bulkgen().generate(input.toString())));
              flag.complete(Thread.currentThread().isInterrupted());
            });
    caller.start();
    awaitFirstShard(output);
    caller.interrupt();
    String message = failure.get(MOST_WAIT.toSeconds(), TimeUnit.SECONDS).getMessage();
    assertAtRest(output);
    assertTrue(message.startsWith("interrupted; finished units are kept"), message);
    assertTrue(flag.get());
  }

  @Test
  void testStoppedStreamEndsCleanAndEndsItsTasks() throws Exception {
    StreamingQuery query =
        SPARK
            .readStream()
            .schema("id STRING, prompt STRING, answer STRING")
            .json(input.toString())
            .writeStream()
            .option("checkpointLocation", folder.resolve("checkpoint").toString())
            .trigger(Trigger.AvailableNow())
            .foreachBatch(bulkgen().foreachBatch())
            .start();
    awaitFirstShard(output.resolve("batch=0"));
    query.stop();
    assertAtRest(output.resolve("batch=0"));
    assertEquals(Optional.empty(), Optional.ofNullable(query.exception().getOrElse(() -> null)));
  }
}
