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
}
