package dev.bulkgen.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class TestFloat16 {
  @Test
  void everyFiniteHalfSurvivesTheRoundTrip() {
    for (int bits = 0; bits < 0x10000; bits++) {
      if ((bits & 0x7c00) != 0x7c00) {
        assertEquals(
            (short) bits, Float16.fromFloat(Float16.toFloat((short) bits)), "half " + bits);
        assertEquals(
            Float16.toFloat((short) bits), Float16.toFloatAny((short) bits), "half " + bits);
      }
    }
  }

  @Test
  void roundsToTheNearestAndTiesToEven() {
    SplittableRandom random = new SplittableRandom(7);
    for (int i = 0; i < 2_000_000; i++) {
      float value = Float.intBitsToFloat(random.nextInt());
      if (!(Math.abs(value) < 65504f)) {
        continue;
      }
      short half = Float16.fromFloat(value);
      double error = Math.abs((double) Float16.toFloat(half) - value);
      for (int step = -1; step <= 1; step += 2) {
        short neighbour = (short) (half + step);
        if ((neighbour & 0x7c00) == 0x7c00 || (neighbour ^ half) < 0) {
          continue;
        }
        double other = Math.abs((double) Float16.toFloat(neighbour) - value);
        assertTrue(
            error < other || (error == other && (half & 1) == 0), "value " + value + " " + half);
      }
    }
  }

  @Test
  void saturatesAndKeepsNaN() {
    assertEquals(65504f, Float16.round(1e9f));
    assertEquals(-65504f, Float16.round(Float.NEGATIVE_INFINITY));
    assertEquals(65504f, Float16.round(65519f));
    assertTrue(Float.isNaN(Float16.toFloatAny(Float16.fromFloat(Float.NaN))));
  }
}
