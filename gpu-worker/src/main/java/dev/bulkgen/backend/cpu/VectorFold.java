package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.FLOATS;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;

import jdk.incubator.vector.VectorMask;

/**
 * The fold of interleaved sums, sixteen at a time: one by one it would take a third of the time of
 * a product of 576 columns. Halves of a row meet by loads that are half a row apart; rearranging in
 * registers would allocate on JDK 17, as would a second vector shape.
 */
final class VectorFold {
  private static final int HALF = LANES / 2;
  private static final int QUARTER = LANES / 4;
  private static final VectorMask<Float> UPPER = upperHalf();

  // Rows folded once and twice, both [16][8]; the loads at the end read a little beyond.
  private final float[] eighths = new float[LANES * HALF + LANES];
  private final float[] quarters = new float[LANES * HALF + LANES];

  /**
   * Folds rows [0, count) of {@code partials} [16][16] from {@code offset} on, and puts the sum of
   * row i, plus {@code bias[biasOffset + i]} unless it is null, into {@code out[outOffset + i]}.
   */
  void foldRows(
      float[] partials,
      int offset,
      int count,
      float[] bias,
      int biasOffset,
      float[] out,
      int outOffset) {
    byEight(partials, offset, eighths);
    byFour(eighths, quarters);
    if (bias == null) {
      for (int i = 0; i < count; i++) {
        out[outOffset + i] = lastFour(quarters, i * HALF);
      }
    } else {
      for (int i = 0; i < count; i++) {
        out[outOffset + i] = lastFour(quarters, i * HALF) + bias[biasOffset + i];
      }
    }
  }

  /** The fold of one row of 16, which it overwrites. */
  static float fold(float[] partials) {
    for (int width = HALF; width > 0; width /= 2) {
      for (int i = 0; i < width; i++) {
        partials[i] += partials[i + width];
      }
    }
    return partials[0];
  }

  private static void byEight(float[] partials, int offset, float[] eighths) {
    if (WIDTH == LANES) {
      for (int row = 0; row < LANES; row += 2) {
        int at = offset + row * LANES;
        // The load in the middle: the upper half of this row, then the lower half of the next.
        floats(partials, at)
            .blend(floats(partials, at + LANES), UPPER)
            .add(floats(partials, at + HALF))
            .intoArray(eighths, row * HALF);
      }
      return;
    }
    for (int to = 0; to < LANES * HALF; to += WIDTH) {
      int at = offset + to + to / HALF * HALF;
      floats(partials, at).add(floats(partials, at + HALF)).intoArray(eighths, to);
    }
  }

  private static void byFour(float[] eighths, float[] quarters) {
    for (int at = 0; at < LANES * HALF; at += WIDTH) {
      floats(eighths, at).add(floats(eighths, at + QUARTER)).intoArray(quarters, at);
    }
  }

  private static float lastFour(float[] quarters, int at) {
    return (quarters[at] + quarters[at + 2]) + (quarters[at + 1] + quarters[at + 3]);
  }

  private static VectorMask<Float> upperHalf() {
    boolean[] lanes = new boolean[WIDTH];
    for (int i = HALF; i < WIDTH; i++) {
      lanes[i] = true;
    }
    return VectorMask.fromArray(FLOATS, lanes, 0);
  }
}
