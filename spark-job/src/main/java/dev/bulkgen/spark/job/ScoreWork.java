package dev.bulkgen.spark.job;

import dev.bulkgen.engine.CommonPrefixes;
import dev.bulkgen.engine.Prompt;
import dev.bulkgen.engine.Score;
import dev.bulkgen.engine.ScoreRequest;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.plugin.EngineGateway;
import dev.bulkgen.spark.sink.RowOutcome;
import dev.bulkgen.spark.source.CompletionReader;
import dev.bulkgen.spark.source.PromptReader;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.apache.spark.sql.catalyst.InternalRow;

/** The completions that a row brings are scored. */
record ScoreWork(
    PromptReader prompts,
    CompletionReader completions,
    LocalDateTime begun,
    CommonPrefixes prefixes)
    implements RowWork<List<Score>> {

  static ScoreWork of(TaskSettings task, JobSettings settings, PromptReader prompts) {
    CompletionReader completions =
        CompletionReader.create(settings.input().completions().orElseThrow(), task.inputSchema());
    return new ScoreWork(prompts, completions, task.begun(), new CommonPrefixes());
  }

  @Override
  public CompletableFuture<List<Score>> submit(
      EngineGateway engine, String key, InternalRow input) {
    Prompt prompt = prompts.request(input).prompt().at(begun);
    return engine.score(
        new ScoreRequest(key, prompt, completions.read(input), Optional.of(prefixes)));
  }

  @Override
  public RowOutcome outcome(String key, InternalRow input, List<Score> answer) {
    return new RowOutcome.Scored(key, input, answer);
  }

  /** Choices are as many as each row brings; the queue bounds them. */
  @Override
  public int placesPerRow() {
    return 1;
  }
}
