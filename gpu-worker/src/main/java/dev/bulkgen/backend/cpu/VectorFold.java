package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.FLOATS;
import static dev.bulkgen.backend.cpu.VectorLanes.INTS;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShuffle;

/**
 * The fold of interleaved sums, a vector of rows at a time: one by one it would take as long as a
 * product of 576 columns. Two rows meet in one vector: each keeps the half that the other gives up,
 * so that a step of the fold is one addition for both, and after the last step lane i holds the sum
 * of row i. Nothing is loaded that was not stored as one vector, which would stall.
 */
final class VectorFold {
  private static final int HALF = LANES / 2;
  private static final int QUARTER = LANES / 4;
  private static final int PAIR = 2;
  private static final int QUADS = 4;

  // By the distance of the lanes that meet; constants, because the compiler needs to know them.
  // A distance that is no less than the width takes whole vectors instead.
  private static final int[] UPPER_8 = upper(HALF);
  private static final int[] UPPER_4 = upper(QUARTER);
  private static final int[] UPPER_2 = upper(PAIR);
  private static final int[] UPPER_1 = upper(1);
  private static final VectorShuffle<Float> SWAP_8 = swap(HALF);
  private static final VectorShuffle<Float> SWAP_4 = swap(QUARTER);
  private static final VectorShuffle<Float> SWAP_2 = swap(PAIR);
  private static final VectorShuffle<Float> SWAP_1 = swap(1);

  private final float[] quads = new float[QUADS * WIDTH]; // [4][WIDTH]
  private final float[] folded = new float[WIDTH];

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
    for (int row = 0; row < count; row += WIDTH) {
      foldToQuads(partials, offset + row * LANES, quads);
      if (row + WIDTH <= count) {
        foldQuads(quads, out, outOffset + row);
      } else {
        foldQuads(quads, folded, 0);
        System.arraycopy(folded, 0, out, outOffset + row, count - row);
      }
    }
    if (bias != null) {
      for (int i = 0; i < count; i++) {
        out[outOffset + i] += bias[biasOffset + i];
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

  /** Folds a vector of rows to four sums each; quad i is of rows i, i + 4 and so on. */
  private static void foldToQuads(float[] partials, int offset, float[] quads) {
    for (int i = 0; i < QUADS; i++) {
      int at = offset + i * LANES;
      FloatVector quad;
      if (WIDTH == LANES) {
        quad = meet(meet8(partials, at), meet8(partials, at + QUADS * LANES), UPPER_4, SWAP_4);
      } else if (WIDTH == HALF) {
        quad = meet(halves(partials, at), halves(partials, at + QUADS * LANES), UPPER_4, SWAP_4);
      } else {
        quad = halves(partials, at).add(halves(partials, at + QUARTER));
      }
      quad.intoArray(quads, i * WIDTH);
    }
  }

  private static void foldQuads(float[] quads, float[] out, int outOffset) {
    FloatVector even = meet(floats(quads, 0), floats(quads, 2 * WIDTH), UPPER_2, SWAP_2);
    FloatVector odd = meet(floats(quads, WIDTH), floats(quads, 3 * WIDTH), UPPER_2, SWAP_2);
    meet(even, odd, UPPER_1, SWAP_1).intoArray(out, outOffset);
  }

  /** Lanes [at, at + WIDTH) plus those eight further on. */
  private static FloatVector halves(float[] partials, int at) {
    return floats(partials, at).add(floats(partials, at + HALF));
  }

  /** The row at {@code at} and the one eight rows further on. */
  private static FloatVector meet8(float[] partials, int at) {
    return meet(floats(partials, at), floats(partials, at + HALF * LANES), UPPER_8, SWAP_8);
  }

  /** The rows exchange a's upper lanes for b's lower ones; by bits, as masks are slow on JDK 17. */
  private static FloatVector meet(
      FloatVector a, FloatVector b, int[] upper, VectorShuffle<Float> swap) {
    IntVector first = a.reinterpretAsInts();
    IntVector second = b.reinterpretAsInts();
    IntVector difference =
        first
            .lanewise(VectorOperators.XOR, second)
            .lanewise(VectorOperators.AND, IntVector.fromArray(INTS, upper, 0));
    FloatVector kept = first.lanewise(VectorOperators.XOR, difference).reinterpretAsFloats();
    FloatVector given = second.lanewise(VectorOperators.XOR, difference).reinterpretAsFloats();
    return kept.add(given.rearrange(swap));
  }

  /** All ones in lanes whose partner at {@code distance} is below them. */
  private static int[] upper(int distance) {
    int[] lanes = new int[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
      lanes[i] = (i & distance) == 0 ? 0 : -1;
    }
    return lanes;
  }

  /** Each lane changes places with its partner at {@code distance}. */
  private static VectorShuffle<Float> swap(int distance) {
    return VectorShuffle.fromOp(FLOATS, i -> (i ^ distance) % WIDTH);
  }
}
