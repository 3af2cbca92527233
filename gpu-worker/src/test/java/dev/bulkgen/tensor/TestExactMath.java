package dev.bulkgen.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class TestExactMath {
  @Test
  void expIsWithinTwoUlps() {
    for (float x = -87f; x < 88.7f; x += 0.00037f) {
      double exact = Math.exp(x);
      double error = Math.abs(ExactMath.exp(x) - exact) / Math.ulp((float) exact);
      assertTrue(error <= 2, "exp(" + x + ") is off by " + error + " ulp");
    }
  }

  @Test
  void expAtItsEnds() {
    assertEquals(0f, ExactMath.exp(Float.NEGATIVE_INFINITY));
    assertEquals(Float.POSITIVE_INFINITY, ExactMath.exp(100f));
    assertEquals(1f, ExactMath.exp(0f));
    assertEquals(1f, ExactMath.exp(-0f));
    assertTrue(Float.isNaN(ExactMath.exp(Float.NaN)));
    assertTrue(ExactMath.exp(-100f) > 0);
  }

  @Test
  void logIsWithinTenToTheMinusThirteen() {
    for (double x = 1e-20; x < 1e20; x *= 1.0037) {
      double exact = Math.log(x);
      assertEquals(exact, ExactMath.log(x), 1e-13 * Math.abs(exact), "log(" + x + ")");
    }
    for (double above = 1e-15; above < 0.5; above *= 1.7) {
      double x = 1 + above;
      assertEquals(Math.log1p(x - 1), ExactMath.log(x), 1e-13 * (x - 1), "log(" + x + ")");
    }
    assertEquals(0, ExactMath.log(1));
  }

  @Test
  void erfIsWithinTwoTenMillionths() {
    for (float x = -6f; x < 6f; x += 0.0037f) {
      assertEquals(erfSeries(x), ExactMath.erf(x), 2e-7, "erf(" + x + ")");
    }
    assertEquals(1f, ExactMath.erf(50f));
    assertEquals(-1f, ExactMath.erf(Float.NEGATIVE_INFINITY));
    assertTrue(Float.isNaN(ExactMath.erf(Float.NaN)));
  }

  @Test
  void tanhIsWithinTwoTenMillionths() {
    for (float x = -12f; x < 12f; x += 0.00037f) {
      assertEquals(Math.tanh(x), ExactMath.tanh(x), 2e-7, "tanh(" + x + ")");
    }
    assertEquals(1f, ExactMath.tanh(Float.POSITIVE_INFINITY));
    assertEquals(-1f, ExactMath.tanh(-1e30f));
    assertTrue(Float.isNaN(ExactMath.tanh(Float.NaN)));
  }

  @Test
  void smallArgumentsKeepTheirRelativePrecision() {
    for (float x = 1e-30f; x < 0.5f; x *= 1.7f) {
      assertEquals(1, ExactMath.tanh(x) / Math.tanh(x), 2e-7, "tanh(" + x + ")");
      assertEquals(1, ExactMath.erf(-x) / erfSeries(-x), 2e-7, "erf(" + -x + ")");
    }
  }

  @Test
  void activationsMatchTheirDefinitions() {
    for (float x = -20f; x < 20f; x += 0.0113f) {
      double cubic = Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x);
      double bound = 3e-7 * Math.max(1, Math.abs(x));
      assertEquals(0.5 * x * (1 + erfSeries(x / Math.sqrt(2))), ExactMath.gelu(x), bound);
      assertEquals(0.5 * x * (1 + Math.tanh(cubic)), ExactMath.geluTanh(x), bound);
      assertEquals(x / (1 + Math.exp(-x)), ExactMath.silu(x), bound);
    }
  }

  /** 2/√π · e^(−x²) · Σ 2^n x^(2n+1) / (2n+1)!!: all terms of one sign, so nothing cancels. */
  private static double erfSeries(double x) {
    double term = x;
    double sum = x;
    for (int n = 1; n < 2000 && Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
      term *= 2 * x * x / (2 * n + 1);
      sum += term;
    }
    return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
  }
}
