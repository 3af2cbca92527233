package dev.bulkgen.engine;

import dev.bulkgen.backend.StepOutput;
import java.util.OptionalInt;

/** The score of one completion as its parts come, in any order; text thread only. */
final class ScoreBuilder {
  private final Job<Score> job;
  private final int index;
  private final int contextTokens;
  private final int[] scored;
  private final OptionalInt commonTokens;
  private final float[] logProbs;
  private boolean isGreedy = true;
  private int missing;

  /**
   * @param index of the completion in its job
   * @param commonTokens of the context, where they are told instead of those really saved
   */
  ScoreBuilder(Job<Score> job, int index, ScoredTokens text, OptionalInt commonTokens) {
    this.job = job;
    this.index = index;
    this.commonTokens = commonTokens;
    contextTokens = text.first();
    scored = text.scored();
    missing = scored.length;
    logProbs = new float[missing];
  }

  Job<Score> job() {
    return job;
  }

  /**
   * @param at the first of the scored tokens that {@code part} is about
   */
  void take(int at, StepOutput.Scored part, int cachedTokens) {
    int count = part.likeliest().length;
    System.arraycopy(part.logProbs(), 0, logProbs, at, count);
    for (int i = 0; i < count; i++) {
      isGreedy &= part.likeliest()[i] == scored[at + i];
    }
    missing -= count;
    completeIfWhole(cachedTokens);
  }

  void completeIfWhole(int cachedTokens) {
    if (missing > 0) {
      return;
    }
    double sum = 0;
    for (float logProb : logProbs) {
      sum += logProb;
    }
    Usage usage = new Usage(contextTokens, scored.length, commonTokens.orElse(cachedTokens));
    job.complete(index, new Score(sum, isGreedy, scored, logProbs, usage));
  }
}
