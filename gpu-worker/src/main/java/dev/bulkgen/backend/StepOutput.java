package dev.bulkgen.backend;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.sampling.TokenLogProbs;
import java.util.List;
import java.util.Optional;

/** What a forward pass gave, one entry per sequence in the batch's order. */
public record StepOutput(List<SequenceOutput> sequences) {

  /** In place of a token: the logits hold a NaN, or the largest is infinite. */
  public static final int NO_TOKEN = -1;

  public sealed interface SequenceOutput {}

  /**
   * @param token the next token
   * @param logits as asked: [rows][vocabSize], before penalties and temperature; no rows for NONE
   * @param logProbs where the sampler asks for them
   */
  public record Token(int token, float[][] logits, Optional<TokenLogProbs> logProbs)
      implements SequenceOutput {}

  /**
   * A part of a prompt is done and nothing was drawn.
   *
   * @param logits as for a token
   */
  public record Fed(float[][] logits) implements SequenceOutput {}

  /**
   * A part of a scored prompt is done, which had targets.
   *
   * @param logProbs [targets] natural log-probability of each, from raw logits, as {@link
   *     dev.bulkgen.sampling.LogProbs} defines it
   * @param likeliest [targets] the token with the largest logit in its place, the lowest id among
   *     equals
   */
  public record Scored(float[] logProbs, int[] likeliest) implements SequenceOutput {

    /**
     * This, or a failure where a row has {@link #NO_TOKEN}.
     *
     * @param lengthAfter tokens cached after the step; its cache may have gone on since
     */
    public SequenceOutput orFailure(int lengthAfter) {
      for (int i = 0; i < likeliest.length; i++) {
        if (likeliest[i] == NO_TOKEN) {
          int position = lengthAfter - likeliest.length + i;
          return new Failure(StepCheck.notFinite(position));
        }
      }
      return this;
    }
  }

  /**
   * The sequence cannot go on (its numbers are no longer finite); the others can. It fails too in a
   * step that was submitted before this was known.
   */
  public record Failure(BulkgenException error) implements SequenceOutput {}
}
