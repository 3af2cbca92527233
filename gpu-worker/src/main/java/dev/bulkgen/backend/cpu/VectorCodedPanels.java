package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.FLOATS;
import static dev.bulkgen.backend.cpu.VectorLanes.INTS;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The product of up to three rows with codes, unpacked in registers: cheaper than a panel of floats
 * that too few rows would use. Sums as {@link VectorPanels#accumulate} does.
 */
final class VectorCodedPanels {
  static final int ROWS = 3;

  private VectorCodedPanels() {}

  /**
   * {@code out[m][c] += Σ_k a[m][k] · code[k][c]} for m in [0, {@code rows}), at most three.
   *
   * @param words rows of words, {@code wordStride} apart, each with 32 / bits values of k
   * @param panels blocks of 16 columns
   */
  static void accumulate(
      float[] a,
      int aOffset,
      int aStride,
      int rows,
      int[] words,
      int wordOffset,
      int wordStride,
      int bits,
      int panels,
      int depth,
      float[] out,
      int outOffset,
      int outStride) {
    for (int panel = 0; panel < panels; panel += 2) {
      int column = panel * LANES;
      int apart = Math.min(1, panels - 1 - panel) * LANES;
      twoPanels(
          a,
          aOffset,
          aStride,
          rows - 1,
          words,
          wordOffset + column,
          wordStride,
          bits,
          depth,
          out,
          outOffset + column,
          outStride,
          apart);
    }
  }

  private static void twoPanels(
      float[] a,
      int a0,
      int aStride,
      int last,
      int[] words,
      int word,
      int wordStride,
      int bits,
      int depth,
      float[] out,
      int to,
      int outStride,
      int apart) {
    int a1 = a0 + Math.min(1, last) * aStride;
    int a2 = a0 + last * aStride;
    int to1 = to + Math.min(1, last) * outStride;
    int to2 = to + last * outStride;
    int perWord = Integer.SIZE / bits;
    int shift = Integer.numberOfTrailingZeros(perWord);
    int mask = (1 << bits) - 1;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s00 = floats(out, to + lane);
      FloatVector s01 = floats(out, to + apart + lane);
      FloatVector s10 = floats(out, to1 + lane);
      FloatVector s11 = floats(out, to1 + apart + lane);
      FloatVector s20 = floats(out, to2 + lane);
      FloatVector s21 = floats(out, to2 + apart + lane);
      for (int k = 0; k < depth; k++) {
        int at = word + lane + (k >>> shift) * wordStride;
        int low = (k & (perWord - 1)) * bits;
        FloatVector left = codes(words, at, low, mask);
        FloatVector right = codes(words, at + apart, low, mask);
        FloatVector x = broadcast(a[a0 + k]);
        s00 = x.fma(left, s00);
        s01 = x.fma(right, s01);
        x = broadcast(a[a1 + k]);
        s10 = x.fma(left, s10);
        s11 = x.fma(right, s11);
        x = broadcast(a[a2 + k]);
        s20 = x.fma(left, s20);
        s21 = x.fma(right, s21);
      }
      s00.intoArray(out, to + lane);
      s01.intoArray(out, to + apart + lane);
      s10.intoArray(out, to1 + lane);
      s11.intoArray(out, to1 + apart + lane);
      s20.intoArray(out, to2 + lane);
      s21.intoArray(out, to2 + apart + lane);
    }
  }

  private static FloatVector codes(int[] words, int at, int low, int mask) {
    return IntVector.fromArray(INTS, words, at)
        .lanewise(VectorOperators.LSHR, low)
        .lanewise(VectorOperators.AND, mask)
        .convertShape(VectorOperators.I2F, FLOATS, 0)
        .reinterpretAsFloats();
  }
}
