package dev.bulkgen.sampling;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestLogProbs {
  /** What a double beside 1 does not hold. */
  private static final double LEAST = 0x1p-52;

  /** Rows from flat to so steep that all but one token together have a probability of 1e-9. */
  @ParameterizedTest
  @CsvSource({"2, 1", "300, 0.1", "300, 20", "32000, 3", "151936, 1"})
  void testNearADoubleLogSoftmax(int vocabulary, double scale) {
    Random random = new Random(vocabulary);
    double worst = 0;
    for (double peak : new double[] {0, 10, 20, 30}) {
      float[] logits = new float[vocabulary + 3];
      for (int i = 0; i < logits.length; i++) {
        logits[i] = (float) (random.nextGaussian() * scale);
      }
      int top = 3 + random.nextInt(vocabulary);
      logits[top] += (float) peak;
      LogProbs logProbs = LogProbs.of(logits, 3, vocabulary);
      for (int i = 0; i < vocabulary; i += 1 + vocabulary / 500) {
        worst = Math.max(worst, error(logits, 3 + i, logProbs));
      }
      worst = Math.max(worst, error(logits, top, logProbs));
    }
    System.out.printf("log-probabilities of %d: relative error %.1e%n", vocabulary, worst);
    assertTrue(worst <= 1e-5, worst + " relative");
  }

  private static double error(float[] logits, int at, LogProbs logProbs) {
    double others = 0; // beside the largest, so that small ones are not lost
    for (int i = 3; i < logits.length; i++) {
      others += i == 3 + logProbs.likeliest() ? 0 : Math.exp((double) logits[i] - logProbs.max());
    }
    double expected = (double) logits[at] - logProbs.max() - Math.log1p(others);
    double error = Math.abs(logProbs.of(logits[at]) - expected);
    return Math.max(0, error - LEAST) / -expected;
  }

  @Test
  void testAnyOrderGivesTheSameBits() {
    Random random = new Random(5);
    List<Float> values = new ArrayList<>();
    for (int i = 0; i < 5000; i++) {
      values.add((float) (random.nextGaussian() * 6));
    }
    double expected = logSum(values);
    for (int round = 0; round < 20; round++) {
      Collections.shuffle(values, random);
      assertEquals(expected, logSum(values));
    }
  }

  private static double logSum(List<Float> values) {
    float[] logits = new float[values.size()];
    for (int i = 0; i < logits.length; i++) {
      logits[i] = values.get(i);
    }
    return LogProbs.of(logits, 0, logits.length).logSum();
  }

  @Test
  void testTheLowestOfEqualOnesIsLikeliest() {
    LogProbs logProbs = LogProbs.of(new float[] {9, 1, 4, -3, 4}, 1, 4);
    assertEquals(1, logProbs.likeliest());
    assertEquals(4, logProbs.max());
    assertEquals(Float.NEGATIVE_INFINITY, logProbs.of(Float.NEGATIVE_INFINITY));
    assertEquals(0f, LogProbs.of(new float[] {-7}, 0, 1).of(-7));
  }

  @Test
  void testNumbersThatAreNoneAreAnErrorOfTheRow() {
    float nan = Float.NaN;
    float infinity = Float.POSITIVE_INFINITY;
    for (float[] row : new float[][] {{1, nan}, {infinity, 0}, {-infinity, -infinity}}) {
      BulkgenException error =
          assertThrows(BulkgenException.class, () -> LogProbs.of(row, 0, row.length));
      assertEquals(ErrorCode.NUMERIC_FAILURE, error.code());
    }
  }
}
