package dev.bulkgen.cli.bench.cuda;

/** Attention of one query in double precision: softmax in powers of 2, one position at a time. */
final class ExactAttention {
  // Results are rounded to bfloat16, probabilities and queries to 16 bits on their way.
  private static final double RESULT_ERROR = 0x1p-7;
  private static final double PROBABILITY_ERROR = 0x1p-7;

  private final double[] sums;
  private final double[] magnitudes;
  private double largest = Double.NEGATIVE_INFINITY;
  private double mass;

  /** A number by channel. */
  interface Vector {
    float at(int channel);
  }

  ExactAttention(int headDim) {
    sums = new double[headDim];
    magnitudes = new double[headDim];
  }

  /** Takes the next position. */
  void attend(float[] query, Vector key, Vector value) {
    double score = 0;
    for (int d = 0; d < query.length; d++) {
      score += (double) query[d] * key.at(d);
    }
    if (score > largest) {
      double shrink = Math.pow(2, largest - score);
      mass *= shrink;
      for (int d = 0; d < sums.length; d++) {
        sums[d] *= shrink;
        magnitudes[d] *= shrink;
      }
      largest = score;
    }
    double weight = Math.pow(2, score - largest);
    mass += weight;
    for (int d = 0; d < sums.length; d++) {
      double term = weight * value.at(d);
      sums[d] += term;
      magnitudes[d] += Math.abs(term);
    }
  }

  double result(int channel) {
    return sums[channel] / mass;
  }

  /** Compares what a kernel left. */
  void check(String what, int channel, double actual) {
    double expected = result(channel);
    double tolerance =
        RESULT_ERROR * Math.abs(expected) + PROBABILITY_ERROR * magnitudes[channel] / mass;
    Check.near(what + ", channel " + channel, actual, expected, tolerance);
  }
}
