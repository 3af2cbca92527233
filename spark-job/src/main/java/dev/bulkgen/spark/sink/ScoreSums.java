package dev.bulkgen.spark.sink;

import dev.bulkgen.engine.Score;
import java.io.Serializable;
import java.util.Collection;

/**
 * Scored completions, each choice by itself, added up.
 *
 * @param greedy those that greedy generation would have given
 * @param logLikelihood natural logarithm
 */
public record ScoreSums(long completions, long greedy, double logLikelihood)
    implements Serializable {
  public static final ScoreSums NONE = new ScoreSums(0, 0, 0);

  static ScoreSums of(Score score) {
    return new ScoreSums(1, score.isGreedy() ? 1 : 0, score.logLikelihood());
  }

  ScoreSums plus(ScoreSums other) {
    return new ScoreSums(
        completions + other.completions,
        greedy + other.greedy,
        logLikelihood + other.logLikelihood);
  }

  /** In their order, which the sum of logarithms depends on. */
  public static ScoreSums total(Collection<ScoreSums> all) {
    return all.stream().reduce(NONE, ScoreSums::plus);
  }
}
