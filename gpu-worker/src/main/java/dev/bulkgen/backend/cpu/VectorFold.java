package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.INTS;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;

import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The fold of interleaved sums. Lanes meet through loads that are shifted against each other, not
 * through shuffles, whose checks cost several times as much as the additions.
 */
final class VectorFold {
  /**
   * Where the sums of sixteen neighbouring outputs lie: output n in slot {@code SLOTS[n]}, its bits
   * reversed, because every step of the fold puts neighbouring slots into halves of one vector.
   */
  static final int[] SLOTS = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};

  // For each distance 8, 4, 2, 1: all bits in lanes of the left sum, none in those of the right.
  private static final int[] LEFT = new int[4 * LANES];

  static {
    for (int step = 0; step < 4; step++) {
      for (int lane = 0; lane < LANES; lane++) {
        LEFT[step * LANES + lane] = (lane & LANES / 2 >> step) == 0 ? -1 : 0;
      }
    }
  }

  private VectorFold() {}

  /**
   * Folds {@code rows} · 16 sums [rows][16 slots][16] from {@code offset} on: then output n of row
   * m is at {@code offset + m · 16 + n}. All rows take a step together, so that shifted loads never
   * wait for the stores before them.
   *
   * @param scratch as long as half the sums, from {@code scratchOffset} on
   */
  static void foldRows(float[] sums, int offset, int rows, float[] scratch, int scratchOffset) {
    int pairs = rows * LANES / 2;
    foldPairs(sums, offset, scratch, scratchOffset, pairs, 8, 0);
    foldPairs(scratch, scratchOffset, sums, offset, pairs / 2, 4, LANES);
    foldPairs(sums, offset, scratch, scratchOffset, pairs / 4, 2, 2 * LANES);
    foldPairs(scratch, scratchOffset, sums, offset, pairs / 8, 1, 3 * LANES);
  }

  private static void foldPairs(
      float[] sums, int offset, float[] folded, int to, int pairs, int distance, int left) {
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      IntVector keep = IntVector.fromArray(INTS, LEFT, left + lane);
      int at = offset + lane;
      for (int pair = 0; pair < pairs; pair++) {
        int first = at + pair * 2 * LANES;
        int second = first + LANES;
        IntVector ours =
            floats(sums, first).add(floats(sums, first + distance)).reinterpretAsInts();
        IntVector theirs =
            floats(sums, second).add(floats(sums, second - distance)).reinterpretAsInts();
        ours.lanewise(VectorOperators.XOR, theirs)
            .lanewise(VectorOperators.AND, keep)
            .lanewise(VectorOperators.XOR, theirs)
            .reinterpretAsFloats()
            .intoArray(folded, to + lane + pair * LANES);
      }
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
