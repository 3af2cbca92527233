package dev.bulkgen.spark.job;

import dev.bulkgen.engine.CommonPrefixes;
import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.GenerateRequest;
import dev.bulkgen.engine.Prompt;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.plugin.EngineGateway;
import dev.bulkgen.spark.sink.RowOutcome;
import dev.bulkgen.spark.source.PromptReader;
import dev.bulkgen.spark.source.RowRequest;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.apache.spark.sql.catalyst.InternalRow;

/** A row's completions are generated. */
record GenerateWork(
    PromptReader prompts, SamplingParams params, LocalDateTime begun, CommonPrefixes prefixes)
    implements RowWork<List<Completion>> {

  static GenerateWork of(TaskSettings task, JobSettings settings, PromptReader prompts) {
    return new GenerateWork(prompts, settings.sampling(), task.begun(), new CommonPrefixes());
  }

  @Override
  public CompletableFuture<List<Completion>> submit(
      EngineGateway engine, String key, InternalRow input) {
    RowRequest asked = prompts.request(input);
    Prompt prompt = asked.prompt().at(begun);
    return engine.submit(
        new GenerateRequest(key, prompt, asked.params(params), Optional.of(prefixes)));
  }

  @Override
  public RowOutcome outcome(String key, InternalRow input, List<Completion> answer) {
    return new RowOutcome.Generated(key, input, answer);
  }

  @Override
  public int placesPerRow() {
    return params.n();
  }
}
