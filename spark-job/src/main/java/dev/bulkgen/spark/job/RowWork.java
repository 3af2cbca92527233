package dev.bulkgen.spark.job;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.plugin.EngineGateway;
import dev.bulkgen.spark.sink.RowOutcome;
import dev.bulkgen.spark.sink.TokenTexts;
import dev.bulkgen.spark.source.PromptReader;
import java.util.concurrent.CompletableFuture;
import org.apache.spark.sql.catalyst.InternalRow;

/**
 * What the rows of a unit ask the engine: all that the tasks of jobs differ in while they run.
 *
 * @param <A> the engine's answer to a row
 */
sealed interface RowWork<A> permits GenerateWork, ScoreWork {

  /** For one unit. */
  static RowWork<?> of(TaskSettings task, JobSettings settings, EngineGateway engine) {
    PromptReader prompts = PromptReader.create(settings.input(), task.format(), task.inputSchema());
    return settings.task() == TaskType.GENERATE
        ? GenerateWork.of(task, settings, prompts, new TokenTexts(engine.tokenizer()))
        : ScoreWork.of(task, settings, prompts);
  }

  /**
   * Queues a row, waiting while the queue is full.
   *
   * @throws BulkgenException of kind DATA for a row that asks nothing that can be done
   */
  CompletableFuture<A> submit(EngineGateway engine, String key, InternalRow input);

  RowOutcome outcome(String key, InternalRow input, A answer);

  /** Places of the batch that a row takes. */
  int placesPerRow();
}
