package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bulkgen.spark.Sessions;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.plugin.EngineHolder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Several attempts at a unit run at the same time, and all of them end. */
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
    TaskSettings task =
        DuplicateAttempts.task(SPARK, JobSettingsReader.read(TaskType.GENERATE, run.values()));
    try {
      List<UnitResult> results = DuplicateAttempts.run(SPARK, task);
      assertEquals(4, results.size());
      assertEquals(results.get(0).facts(), results.get(1).facts());
      assertEquals(results.get(2).facts(), results.get(3).facts());
    } finally {
      EngineHolder.close(task.engine());
    }
    JobRun.assertSameShards(expected, JobRun.shards(output));
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
