package dev.bulkgen.engine;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.sampling.Sampler;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.schedule.SequenceState;
import java.util.Optional;
import java.util.Set;

/** One sample of a job in flight: its sequence, its sampler and its text. Engine thread only. */
final class Sample {
  private final Job job;
  private final int index;
  private final SequenceState sequence;
  private final Sampler sampler;
  private final Set<Integer> endTokens;
  private final CompletionText text;

  Sample(
      Job job,
      int index,
      SequenceState sequence,
      Sampler sampler,
      Set<Integer> endTokens,
      CompletionText text) {
    this.job = job;
    this.index = index;
    this.sequence = sequence;
    this.sampler = sampler;
    this.endTokens = endTokens;
    this.text = text;
  }

  Job job() {
    return job;
  }

  SequenceState sequence() {
    return sequence;
  }

  Sampler sampler() {
    return sampler;
  }

  /**
   * Takes the newest token, which the sequence already counts; the completion if it is the last.
   */
  Optional<Completion> accept(int token) {
    SamplingParams params = job.request().params();
    if (!params.ignoreEos() && endTokens.contains(token)) {
      return finish(FinishReason.STOP, null);
    }
    if (params.stopTokenIds().contains(token)) {
      return finish(FinishReason.STOP, Integer.toString(token));
    }
    text.push(token);
    if (text.stopString().isPresent()) {
      return finish(FinishReason.STOP, null);
    }
    if (sequence.outputLength() == sequence.maxTokens()) {
      return finish(FinishReason.LENGTH, null);
    }
    return Optional.empty();
  }

  void complete(Completion completion) {
    job.complete(index, completion);
  }

  void fail(BulkgenException error) {
    job.fail(error);
  }

  private Optional<Completion> finish(FinishReason reason, String stopToken) {
    String whole = text.finish();
    Optional<String> stopString = text.stopString();
    int[] output = sequence.output();
    return Optional.of(
        new Completion(
            index,
            whole,
            output,
            stopString.isPresent() ? FinishReason.STOP : reason,
            stopString.orElse(stopToken),
            new Usage(sequence.promptLength(), output.length, 0)));
  }
}
