package dev.bulkgen.spark.job;

import dev.bulkgen.engine.CommonPrefixes;
import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.GenerateRequest;
import dev.bulkgen.engine.Prompt;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.OutputFormat;
import dev.bulkgen.spark.plugin.EngineGateway;
import dev.bulkgen.spark.sink.RowOutcome;
import dev.bulkgen.spark.sink.TokenTexts;
import dev.bulkgen.spark.source.PromptReader;
import dev.bulkgen.spark.source.RowRequest;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.apache.spark.sql.catalyst.InternalRow;

/**
 * A row's completions are generated.
 *
 * @param hasLogprobs whether the result has a place for log-probabilities
 */
record GenerateWork(
    PromptReader prompts,
    SamplingParams params,
    boolean hasLogprobs,
    LocalDateTime begun,
    CommonPrefixes prefixes,
    TokenTexts tokens)
    implements RowWork<List<Completion>> {

  static GenerateWork of(
      TaskSettings task, JobSettings settings, PromptReader prompts, TokenTexts tokens) {
    SamplingParams params = settings.sampling();
    boolean hasLogprobs =
        params.logprobs().isPresent() || settings.output().format() == OutputFormat.OPENAI_BATCH;
    return new GenerateWork(
        prompts, params, hasLogprobs, task.begun(), new CommonPrefixes(), tokens);
  }

  @Override
  public CompletableFuture<List<Completion>> submit(
      EngineGateway engine, String key, InternalRow input) {
    RowRequest asked = prompts.request(input);
    Prompt prompt = asked.prompt().at(begun);
    return engine.submit(new GenerateRequest(key, prompt, params(asked), Optional.of(prefixes)));
  }

  /** A table's columns are the job's: no row adds one. */
  private SamplingParams params(RowRequest asked) {
    SamplingParams own = asked.params(params);
    if (own.logprobs().isPresent() && !hasLogprobs) {
      throw BulkgenException.of(
          ErrorCode.REQUEST_INVALID,
          "logprobs: the result has no column for them; set logprobs for the job too, where 0 is"
              + " enough, or leave it out of the row");
    }
    return own;
  }

  @Override
  public RowOutcome outcome(String key, InternalRow input, List<Completion> answer) {
    return new RowOutcome.Generated(key, input, answer, tokens);
  }

  @Override
  public int placesPerRow() {
    return params.n();
  }
}
