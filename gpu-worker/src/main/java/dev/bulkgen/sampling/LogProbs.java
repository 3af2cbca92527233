package dev.bulkgen.sampling;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.ExactMath;

/**
 * The natural log-probabilities of a row of raw logits l, before penalties and temperature: ln p(t)
 * = l(t) − max − ln Σ exp(l − max).
 *
 * <p>The terms of the sum become whole numbers of 2^−{@value #COARSE_BITS} and, for what is left of
 * each, of 2^−{@value #ALL_BITS}: whole numbers have the same sum in every order, so every CPU and
 * every device gives the same bits (P1). The two sums keep small terms beside large ones: the
 * result is within 1e-5 of itself, of likely tokens too, down to 1e-11.
 *
 * @param likeliest the token with the largest logit, the lowest id among equals
 * @param max its logit
 * @param logSum ln Σ exp(l − max)
 */
public record LogProbs(int likeliest, float max, double logSum) {
  private static final int COARSE_BITS = 39;
  private static final int FINE_BITS = 40;
  private static final int ALL_BITS = COARSE_BITS + FINE_BITS;
  private static final float COARSE = 0x1p39f;
  private static final float FINE = 0x1p40f;

  /**
   * @param logits [vocabSize] from {@code offset} on; at most 2^22
   * @throws BulkgenException NUMERIC_FAILURE if a logit is NaN or the largest is infinite
   */
  public static LogProbs of(float[] logits, int offset, int vocabSize) {
    int likeliest = largest(logits, offset, vocabSize);
    float max = logits[offset + likeliest];
    long coarse = 0;
    long fine = 0;
    for (int i = offset; i < offset + vocabSize; i++) {
      float scaled = ExactMath.exp(logits[i] - max) * COARSE;
      long whole = (long) scaled;
      coarse += whole;
      fine += (long) ((scaled - whole) * FINE);
    }
    double sum = Math.fma((double) fine, 1 / (double) FINE, (double) coarse) / COARSE;
    return new LogProbs(likeliest, max, ExactMath.log(sum));
  }

  /** The log-probability of a token with this logit. */
  public float of(float logit) {
    return (float) ((double) logit - max - logSum);
  }

  /**
   * The first of the largest.
   *
   * @throws BulkgenException NUMERIC_FAILURE if a logit is NaN or the largest is infinite
   */
  static int largest(float[] logits, int offset, int vocabSize) {
    int best = 0;
    float max = Float.NEGATIVE_INFINITY;
    for (int i = 0; i < vocabSize; i++) {
      float logit = logits[offset + i];
      if (logit > max) {
        max = logit;
        best = i;
      } else if (Float.isNaN(logit)) {
        throw numericFailure("the logit of token %d is NaN", i);
      }
    }
    if (Float.isInfinite(max)) {
      throw numericFailure(
          "the largest of %d logits is %s", vocabSize, max > 0 ? "infinite" : "-infinity");
    }
    return best;
  }

  private static BulkgenException numericFailure(String format, Object... arguments) {
    return BulkgenException.of(
        ErrorCode.NUMERIC_FAILURE,
        format + "; the model's numbers overflow on this prompt: check the weights, or shorten it",
        arguments);
  }
}
