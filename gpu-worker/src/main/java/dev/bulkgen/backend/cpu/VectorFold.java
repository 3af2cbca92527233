package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;

/**
 * The fold of interleaved sums, in scalars on purpose: lanes of one vector meet through shuffles
 * only, and the checks of a shuffle's indexes cost several times as much as the sixteen additions.
 */
final class VectorFold {
  private VectorFold() {}

  /**
   * Folds rows [0, count) of {@code partials} [count][16] from {@code offset} on, and puts the sum
   * of row i into {@code out[outOffset + i]}.
   */
  static void foldRows(float[] partials, int offset, int count, float[] out, int outOffset) {
    for (int row = 0; row < count; row++) {
      int at = offset + row * LANES;
      float s0 = (partials[at] + partials[at + 8]) + (partials[at + 4] + partials[at + 12]);
      float s1 = (partials[at + 1] + partials[at + 9]) + (partials[at + 5] + partials[at + 13]);
      float s2 = (partials[at + 2] + partials[at + 10]) + (partials[at + 6] + partials[at + 14]);
      float s3 = (partials[at + 3] + partials[at + 11]) + (partials[at + 7] + partials[at + 15]);
      out[outOffset + row] = (s0 + s2) + (s1 + s3);
    }
  }

  /** The fold of one row of 16, which it overwrites. */
  static float fold(float[] partials) {
    for (int width = LANES / 2; width > 0; width /= 2) {
      for (int i = 0; i < width; i++) {
        partials[i] += partials[i + width];
      }
    }
    return partials[0];
  }
}
