package dev.bulkgen;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A comparator that can be fooled proves nothing. */
class TestTolerances {
  @ParameterizedTest
  @ValueSource(floats = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 1.5f})
  void wrongNumbersFail(float wrong) {
    float[][] expected = {{0, 1, 2}};
    float[][] actual = {{0, wrong, 2}};
    for (Tolerances tolerance : Tolerances.values()) {
      assertThrows(
          AssertionError.class, () -> tolerance.assertClose("test", expected, actual), "" + wrong);
    }
  }

  @Test
  void nothingComparedFails() {
    float[][] none = {};
    float[][] empty = {{}};
    assertThrows(
        AssertionError.class, () -> Tolerances.OTHER_ORDER.assertClose("test", none, none));
    assertThrows(
        AssertionError.class, () -> Tolerances.OTHER_ORDER.assertClose("test", empty, empty));
  }

  @Test
  void figuresAreThoseOfTheDefinitions() {
    float[][] expected = {{0, 0}, {3, 1}};
    float[][] actual = {{0, (float) Math.log(3)}, {3, 1}};
    Tolerances.Difference difference = Tolerances.between(expected, actual);
    assertEquals(Math.log(3), difference.maxError(), 1e-6);
    assertEquals(0.5 * (0.5 * Math.log(2) + 0.5 * Math.log(2 / 3.0)), difference.meanKl(), 1e-6);
    assertEquals(0, difference.medianError());
    assertEquals(0.5, difference.argmaxAgreement());
  }
}
