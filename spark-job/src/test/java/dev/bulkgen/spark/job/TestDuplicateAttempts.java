package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.plan.PlanFolder;
import dev.bulkgen.spark.plan.PlanSchema;
import dev.bulkgen.spark.plan.UnitPlan;
import dev.bulkgen.spark.plan.UnitSpec;
import dev.bulkgen.spark.plugin.EngineHolder;
import dev.bulkgen.spark.plugin.EngineSpec;
import dev.bulkgen.spark.sink.ShardFormat;
import dev.bulkgen.spark.sink.ShardIdentity;
import dev.bulkgen.spark.storage.ParquetRowReader;
import dev.bulkgen.spark.storage.Storage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Map;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import scala.reflect.ClassTag$;

/** As speculation does it: several attempts at a unit run at the same time, and all of them end. */
class TestDuplicateAttempts {
  private static final SparkSession SPARK = Sessions.shared();

  @TempDir Path folder;

  @Test
  void testAttemptsOfOneUnitAtOnceAreOneShard() throws Exception {
    Path output = folder.resolve("out");
    JobRun run =
        new JobRun(SPARK, JobRun.prompts(folder.resolve("in.jsonl"), 24), output)
            .with("unit-rows", "12");
    run.run();
    Map<String, byte[]> expected = JobRun.shards(output);
    for (String name : expected.keySet()) {
      Files.delete(output.resolve(name));
    }

    JobSettings settings = JobSettingsReader.read(TaskType.GENERATE, run.values());
    org.apache.hadoop.fs.Path plans =
        new org.apache.hadoop.fs.Path(output.resolve("_bulkgen/plan").toString());
    UnitPlan plan =
        new PlanFolder(Storage.of(plans, SPARK.sparkContext().hadoopConfiguration()), plans)
            .read()
            .orElseThrow();
    String model = ModelFolder.open(settings.engine().model()).digest();
    ShardIdentity identity =
        new ShardIdentity(plan.digest(), settings.digest(model), ShardFormat.of(settings));
    TaskSettings task =
        TaskSettings.of(
            settings,
            plan,
            plans.toString(),
            identity,
            EngineSpec.of(settings.values(), SPARK.sparkContext().master(), model),
            LocalDateTime.of(2026, 1, 2, 3, 4));
    UnitTask function =
        new UnitTask(
            task,
            ParquetRowReader.create(SPARK, PlanSchema.of(plan.inputSchema())),
            new SerializableConfiguration(SPARK.sparkContext().hadoopConfiguration()),
            UnitCounters.register(SPARK.sparkContext(), TaskType.GENERATE));
    // Two slots: the attempts of a unit are neighbours, and begin together.
    List<UnitSpec> attempts =
        List.of(plan.units().get(0), plan.units().get(0), plan.units().get(1), plan.units().get(1));
    try {
      UnitResult[] results =
          (UnitResult[])
              SPARK
                  .sparkContext()
                  .runJob(
                      JavaSparkContext.fromSparkContext(SPARK.sparkContext())
                          .parallelize(attempts, attempts.size())
                          .rdd(),
                      function,
                      ClassTag$.MODULE$.<UnitResult>apply(UnitResult.class));
      assertEquals(results[0].facts(), results[1].facts());
      assertEquals(results[2].facts(), results[3].facts());
    } finally {
      EngineHolder.close(task.engine());
    }
    Map<String, byte[]> actual = JobRun.shards(output);
    assertEquals(expected.keySet(), actual.keySet());
    expected.forEach((name, bytes) -> assertArrayEquals(bytes, actual.get(name), name));
    try (var files = Files.list(output)) {
      assertEquals(
          List.of(),
          files
              .map(file -> file.getFileName().toString())
              .filter(name -> name.startsWith("_temporary"))
              .toList());
    }
  }
}
