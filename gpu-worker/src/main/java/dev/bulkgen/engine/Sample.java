package dev.bulkgen.engine;

import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.sampling.Sampler;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.TokenLogProbs;
import dev.bulkgen.schedule.SequenceState;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;

/**
 * One sample of a job: its sequence and sampler, which are the engine thread's, and its tokens and
 * text, which are the text thread's.
 */
final class Sample implements JobSequence {
  private final Job<Completion> job;
  private final SamplingParams params;
  private final int index;
  private final SequenceState sequence;
  private final Sampler sampler;
  private final Set<Integer> endTokens;
  private final CompletionText text;
  private final OptionalInt commonTokens;
  private final List<TokenLogProbs> logProbs = new ArrayList<>();
  private int[] tokens = new int[16];
  private int count;
  private volatile boolean isComplete;

  /** Why a token is a sequence's last, as far as the token alone tells. */
  record Ending(FinishReason reason, String stopReason) {}

  /**
   * @param commonTokens of the prompt, where they are told instead of those really saved
   */
  Sample(
      Job<Completion> job,
      SamplingParams params,
      int index,
      SequenceState sequence,
      Sampler sampler,
      Set<Integer> endTokens,
      CompletionText text,
      OptionalInt commonTokens) {
    this.job = job;
    this.params = params;
    this.index = index;
    this.sequence = sequence;
    this.sampler = sampler;
    this.endTokens = endTokens;
    this.text = text;
    this.commonTokens = commonTokens;
  }

  @Override
  public Job<Completion> job() {
    return job;
  }

  @Override
  public SequenceState sequence() {
    return sequence;
  }

  @Override
  public SequenceStep step(int[] fed, SequenceStep.Kind kind) {
    return new SequenceStep(sequence.cache(), fed, sampler, LogitsRequest.NONE, kind);
  }

  @Override
  public boolean runsAhead() {
    return sampler.onDevice().isPresent();
  }

  /** Whether {@code token}, which the sequence already counts, is its last; engine thread. */
  Optional<Ending> ending(int token) {
    if (!params.ignoreEos() && endTokens.contains(token)) {
      return Optional.of(new Ending(FinishReason.STOP, null));
    }
    if (params.stopTokenIds().contains(token)) {
      return Optional.of(new Ending(FinishReason.STOP, Integer.toString(token)));
    }
    return sequence.outputLength() == sequence.maxTokens()
        ? Optional.of(new Ending(FinishReason.LENGTH, null))
        : Optional.empty();
  }

  /**
   * Takes the next token; text thread. Tokens drawn before the engine hears of a stop string are
   * dropped.
   *
   * @return whether a stop string ends the sample, which the engine does not know yet
   */
  boolean take(StepOutput.Token drawn, Optional<Ending> ending, int cachedTokens) {
    if (isComplete) {
      return false;
    }
    if (count == tokens.length) {
      tokens = Arrays.copyOf(tokens, 2 * count);
    }
    tokens[count++] = drawn.token();
    drawn.logProbs().ifPresent(logProbs::add);
    if (ending.isEmpty() || ending.get().reason() == FinishReason.LENGTH) {
      text.push(drawn.token());
    }
    boolean isStopped = text.stopString().isPresent();
    if (isStopped || ending.isPresent()) {
      complete(ending.orElse(new Ending(FinishReason.STOP, null)), cachedTokens);
    }
    return isStopped && ending.isEmpty();
  }

  /** Whether its text has ended, by the model, its length or a stop string. */
  boolean isComplete() {
    return isComplete;
  }

  private void complete(Ending ending, int cachedTokens) {
    isComplete = true;
    String whole = text.finish();
    Optional<String> stopString = text.stopString();
    job.complete(
        index,
        new Completion(
            index,
            whole,
            Arrays.copyOf(tokens, count),
            stopString.isPresent() ? FinishReason.STOP : ending.reason(),
            stopString.orElse(ending.stopReason()),
            new Usage(sequence.promptLength(), count, commonTokens.orElse(cachedTokens)),
            List.copyOf(logProbs)));
  }
}
