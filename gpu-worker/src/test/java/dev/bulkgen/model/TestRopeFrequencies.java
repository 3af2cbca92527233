package dev.bulkgen.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

class TestRopeFrequencies {
  private static float[] inverse(double theta, RopeConfig.Scaling scaling, int headDim) {
    return RopeFrequencies.of(new RopeConfig(theta, scaling), headDim).inverseFrequencies();
  }

  @Test
  void plainFrequenciesFallGeometrically() {
    // theta^(-2i/8) for theta = 10^4: a factor of ten a pair.
    assertArrayEquals(
        new float[] {1f, 0.1f, 0.01f, 0.001f}, inverse(10_000, new RopeConfig.None(), 8), 1e-9f);
  }

  @Test
  void linearDividesEveryFrequency() {
    assertArrayEquals(
        new float[] {0.125f, 0.0125f, 0.00125f, 0.000125f},
        inverse(10_000, new RopeConfig.Linear(8), 8),
        1e-9f);
  }

  @Test
  void llama3KeepsBlendsAndDivides() {
    // Original length 64, so a pair turns 64 f / 2π times over it: 10.186, 1.0186, 0.10186, 0.0102.
    // More than 4 turns are kept, fewer than 1 divided by 8; 1.0186 is (1.0186 − 1) / 3 kept.
    double kept = (6.4 / (2 * Math.PI) - 1) / 3;
    float blended = (float) (0.1 / 8 * (1 - kept) + 0.1 * kept);
    assertArrayEquals(
        new float[] {1f, blended, 0.01f / 8, 0.001f / 8},
        inverse(10_000, new RopeConfig.Llama3(8, 1, 4, 64), 8),
        1e-9f);
    assertEquals(0.0130427, blended, 1e-6);
  }

  @Test
  void yarnRampsBetweenWholePairs() {
    // Head size 16, theta 10^4, original length 2048. The pair that turns n times over it is
    // 16 ln(2048 / 2πn) / (2 ln 10^4): 2.0165 for n = 32 and 5.0267 for n = 1, so pairs to 2 are
    // kept, from 6 on divided, and 3, 4, 5 blended by 1/4, 2/4, 3/4.
    float[] plain = inverse(10_000, new RopeConfig.None(), 16);
    float[] yarn = inverse(10_000, new RopeConfig.Yarn(4, 32, 1, 2048, 1), 16);
    double[] divided = {0, 0, 0, 0.25, 0.5, 0.75, 1, 1};
    for (int i = 0; i < 8; i++) {
      assertEquals(
          plain[i] * (1 - divided[i]) + plain[i] / 4 * divided[i], yarn[i], 1e-8, "pair " + i);
    }
  }

  @Test
  void yarnScalesCosineAndSine() {
    RopeFrequencies rope =
        RopeFrequencies.of(
            new RopeConfig(10_000, new RopeConfig.Yarn(4, 32, 1, 2048, 1.1386294)), 16);
    float[] cos = new float[8];
    float[] sin = new float[8];
    rope.cosSin(0, cos, sin, 0);
    assertEquals(1.1386294f, rope.magnitude());
    assertEquals(1.1386294f, cos[7]);
    assertEquals(0f, sin[7]);
  }

  @Test
  void cosineAndSineOfAPosition() {
    RopeFrequencies rope = RopeFrequencies.of(new RopeConfig(10_000, new RopeConfig.None()), 8);
    float[] cos = new float[6];
    float[] sin = new float[6];
    rope.cosSin(3, cos, sin, 2);
    // cos and sin of 3, 0.3, 0.03, 0.003
    assertArrayEquals(
        new float[] {0, 0, -0.98999250f, 0.95533649f, 0.99955003f, 0.9999955f}, cos, 1e-7f);
    assertArrayEquals(
        new float[] {0, 0, 0.14112001f, 0.29552021f, 0.02999550f, 0.0029999955f}, sin, 1e-7f);
  }

  @Test
  void farPositionsKeepTheirAngle() {
    RopeFrequencies rope = RopeFrequencies.of(new RopeConfig(10_000, new RopeConfig.None()), 8);
    float[] cos = new float[4];
    float[] sin = new float[4];
    rope.cosSin(1_000_000, cos, sin, 0);
    assertEquals(0.93675213, cos[0], 1e-7); // cos(10^6), from a table
    assertEquals(-0.34999350, sin[0], 1e-7);
  }
}
