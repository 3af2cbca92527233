package dev.bulkgen;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Locale;

/**
 * How far a result may be from its reference, and why. NaN never passes, infinities must be equal,
 * and comparing nothing fails.
 */
public enum Tolerances {
  /** Golden logits where neither side rounds K and V: float32 sums in another order. */
  GOLDEN_FULL_PRECISION(1e-3, 1e-3, 1e-7, 1),
  /**
   * Golden logits with caches in float16: 1e-3, but for single rows. A K or V element that lies on
   * a rounding edge of float16 goes one way there and the other here (disturbing ours by 1e-7 moves
   * single rows by up to 8e-3, and the mean divergence by 1e-7).
   */
  GOLDEN_FP16(1e-3, 1.5e-2, 3e-7, 1),
  /**
   * A prompt on a device and on the CPU: activations have 16 significant bits (two pieces of
   * bfloat16) there and 24 here, so more elements of K and V fall on the other side of a rounding
   * edge.
   */
  DEVICE_PREFILL(2e-3, 1.5e-2, 1e-6, 1),
  /** Activations rounded to the 8 significant bits of bfloat16 in front of every product. */
  BFLOAT16_ACTIVATIONS(0.1, 0.2, 3e-4, 0.95),
  /** 4-bit codes on a rounding edge may flip; the method itself is 10 times farther from exact. */
  GOLDEN_4_BITS(Double.MAX_VALUE, Double.MAX_VALUE, 1e-3, 0.98),
  /** The same for 2 bits, where a flipped code moves a value by a third of its group's range. */
  GOLDEN_2_BITS(Double.MAX_VALUE, Double.MAX_VALUE, 1e-2, 0.93),
  /** Prefill and decode sum in different orders, in float32 on logits of about 1. */
  OTHER_ORDER(1e-3, 1e-3, 1e-6, 0);

  private final double medianError;
  private final double maxError;
  private final double meanKl;
  private final double argmaxAgreement;

  Tolerances(double medianError, double maxError, double meanKl, double argmaxAgreement) {
    this.medianError = medianError;
    this.maxError = maxError;
    this.meanKl = meanKl;
    this.argmaxAgreement = argmaxAgreement;
  }

  /**
   * How rows of logits differ: the largest absolute error of the median row and of all rows, the
   * mean Kullback-Leibler divergence of their distributions from the expected ones, and the share
   * of rows with the same largest logit.
   */
  public record Difference(
      double medianError, double maxError, double meanKl, double argmaxAgreement) {
    @Override
    public String toString() {
      return String.format(
          Locale.ROOT,
          "error %.2e (median row), %.2e (all), mean KL %.2e, argmax %.1f %%",
          medianError,
          maxError,
          meanKl,
          100 * argmaxAgreement);
    }
  }

  public static Difference between(float[][] expected, float[][] actual) {
    assertTrue(expected.length > 0, "nothing to compare");
    assertTrue(expected.length == actual.length, expected.length + " rows, " + actual.length);
    double[] errors = new double[expected.length];
    double kl = 0;
    int agreeing = 0;
    for (int row = 0; row < expected.length; row++) {
      assertTrue(expected[row].length > 0, "nothing to compare in row " + row);
      assertTrue(expected[row].length == actual[row].length, "lengths of row " + row);
      for (int i = 0; i < expected[row].length; i++) {
        errors[row] = Math.max(errors[row], error(expected[row][i], actual[row][i]));
      }
      kl += divergence(expected[row], actual[row]) / expected.length;
      agreeing += argmax(expected[row]) == argmax(actual[row]) ? 1 : 0;
    }
    Arrays.sort(errors);
    double median = errors[(int) Math.ceil(0.5 * errors.length) - 1];
    double max = errors[errors.length - 1];
    return new Difference(median, max, kl, (double) agreeing / expected.length);
  }

  /** Fails, with the figures, where {@code actual} is farther from {@code expected}. */
  public Difference assertClose(String what, float[][] expected, float[][] actual) {
    Difference difference = between(expected, actual);
    boolean close =
        difference.medianError <= medianError
            && difference.maxError <= maxError
            && difference.meanKl <= meanKl
            && difference.argmaxAgreement >= argmaxAgreement;
    assertTrue(close, what + ": " + difference + " is not within " + this);
    return difference;
  }

  public static int argmax(float[] row) {
    int best = 0;
    for (int i = 1; i < row.length; i++) {
      if (row[i] > row[best]) {
        best = i;
      }
    }
    return best;
  }

  private static double error(float expected, float actual) {
    if (expected == actual) {
      return 0;
    }
    double error = Math.abs((double) expected - actual);
    return error <= Double.MAX_VALUE ? error : Double.POSITIVE_INFINITY;
  }

  private static double divergence(float[] expected, float[] actual) {
    double expectedLog = logSumExp(expected);
    double actualLog = logSumExp(actual);
    double kl = 0;
    for (int i = 0; i < expected.length; i++) {
      double p = Math.exp(expected[i] - expectedLog);
      kl += p * ((expected[i] - expectedLog) - (actual[i] - actualLog));
    }
    return kl;
  }

  private static double logSumExp(float[] row) {
    double max = row[argmax(row)];
    double sum = 0;
    for (float value : row) {
      sum += Math.exp(value - max);
    }
    return max + Math.log(sum);
  }
}
