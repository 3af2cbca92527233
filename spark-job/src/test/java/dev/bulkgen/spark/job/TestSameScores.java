package dev.bulkgen.spark.job;

import dev.bulkgen.spark.config.TaskType;
import java.nio.file.Path;

/** Of scores, token by token. */
class TestSameScores extends AbstractTestSameRows {
  TestSameScores() {
    super(TaskType.SCORE);
  }

  @Override
  JobRun job(Path output) {
    return new JobRun(spark, INPUT, output)
        .scoring()
        .with("prompt-template", "{prompt} ", "completion-column", "answer")
        .with("token-logprobs", "true");
  }
}
