package dev.bulkgen.engine;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.schedule.SequenceState;
import java.util.Arrays;

/**
 * What is scored in one sequence: a completion after its prompt, or a part of a longer text after
 * tokens before it. The last token is never fed.
 */
final class ScoreWindow implements JobSequence {
  private final ScoreBuilder score;
  private final ScoredTokens text;
  private final int offset;
  private final SequenceState sequence;

  /**
   * @param text of the window
   * @param offset of its first scored token among those of {@code score}
   */
  ScoreWindow(ScoreBuilder score, long id, ScoredTokens text, int offset) {
    this.score = score;
    this.text = text;
    this.offset = offset;
    int[] fed = Arrays.copyOf(text.tokens(), text.tokens().length - 1);
    sequence = SequenceState.scored(id, fed, text.first() - 1);
  }

  @Override
  public Job<Score> job() {
    return score.job();
  }

  @Override
  public SequenceState sequence() {
    return sequence;
  }

  @Override
  public SequenceStep step(int[] fed, SequenceStep.Kind kind) {
    int from = sequence.cache().length();
    int end = from + fed.length + 1;
    int[] targets = Arrays.copyOfRange(text.tokens(), Math.min(firstTarget(from), end), end);
    return SequenceStep.scored(sequence.cache(), fed, targets, kind);
  }

  /** The first token that a step from {@code from} on scores, if it reaches one. */
  private int firstTarget(int from) {
    return Math.max(text.first(), from + 1);
  }

  @Override
  public boolean runsAhead() {
    return true;
  }

  /** Takes what a step from {@code from} on has scored; text thread. */
  void take(int from, StepOutput.Scored scored, int cachedTokens) {
    score.take(offset + firstTarget(from) - text.first(), scored, cachedTokens);
  }
}
