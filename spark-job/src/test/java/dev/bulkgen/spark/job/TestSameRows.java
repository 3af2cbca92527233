package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import dev.bulkgen.spark.config.TaskType;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Of sampled texts and the log-probabilities of their tokens. */
class TestSameRows extends AbstractTestSameRows {
  TestSameRows() {
    super(TaskType.GENERATE);
  }

  /** Two tokens: the second hangs on the cache of the first, which {@code kivi2} keeps in codes. */
  @Override
  JobRun job(Path output) {
    return new JobRun(spark, INPUT, output)
        .with("temperature", "1", "max-tokens", "2", "kv-cache", "kivi2", "logprobs", "2");
  }

  @Test
  void testSeedChangesRows() {
    Path output = folder.resolve("seed");
    job(output).with("seed", "1", "limit", "20").run();
    List<String> other = JobRun.rows(spark, output);
    assertEquals(20, other.size());
    assertFalse(expected.containsAll(other));
  }
}
