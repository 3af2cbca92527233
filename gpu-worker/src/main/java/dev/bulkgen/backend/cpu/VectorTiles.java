package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;

import jdk.incubator.vector.FloatVector;

/**
 * Register tiles of the product: interleaved sums of a few rows of x, {@code depth} floats long, a
 * multiple of 16, with four rows of w in a panel of {@link VectorRowBlocks}. Row r and weight j end
 * unfolded in {@code partials[slot + r · 256 + SLOTS[j] · 16 …]}, the slots being those of {@link
 * VectorFold}.
 */
final class VectorTiles {
  /** Floats of one row's partial sums: sixteen products of sixteen lanes. */
  private static final int ROW = LANES * LANES;

  private static final int SECOND = VectorFold.SLOTS[1] * LANES;
  private static final int THIRD = VectorFold.SLOTS[2] * LANES;
  private static final int FOURTH = VectorFold.SLOTS[3] * LANES;

  private VectorTiles() {}

  /** Four rows of x. */
  static void fourRows(
      float[] x,
      int xOffset,
      int xStride,
      float[] w,
      int wOffset,
      int depth,
      float[] partials,
      int slot) {
    int x1 = xOffset + xStride;
    int x2 = xOffset + 2 * xStride;
    int x3 = xOffset + 3 * xStride;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s00 = broadcast(0f);
      FloatVector s01 = broadcast(0f);
      FloatVector s02 = broadcast(0f);
      FloatVector s03 = broadcast(0f);
      FloatVector s10 = broadcast(0f);
      FloatVector s11 = broadcast(0f);
      FloatVector s12 = broadcast(0f);
      FloatVector s13 = broadcast(0f);
      FloatVector s20 = broadcast(0f);
      FloatVector s21 = broadcast(0f);
      FloatVector s22 = broadcast(0f);
      FloatVector s23 = broadcast(0f);
      FloatVector s30 = broadcast(0f);
      FloatVector s31 = broadcast(0f);
      FloatVector s32 = broadcast(0f);
      FloatVector s33 = broadcast(0f);
      int at = wOffset + lane;
      for (int k = lane; k < depth; k += LANES) {
        FloatVector b0 = floats(w, at);
        FloatVector b1 = floats(w, at + LANES);
        FloatVector b2 = floats(w, at + 2 * LANES);
        FloatVector b3 = floats(w, at + 3 * LANES);
        FloatVector a = floats(x, xOffset + k);
        s00 = a.fma(b0, s00);
        s01 = a.fma(b1, s01);
        s02 = a.fma(b2, s02);
        s03 = a.fma(b3, s03);
        a = floats(x, x1 + k);
        s10 = a.fma(b0, s10);
        s11 = a.fma(b1, s11);
        s12 = a.fma(b2, s12);
        s13 = a.fma(b3, s13);
        a = floats(x, x2 + k);
        s20 = a.fma(b0, s20);
        s21 = a.fma(b1, s21);
        s22 = a.fma(b2, s22);
        s23 = a.fma(b3, s23);
        a = floats(x, x3 + k);
        s30 = a.fma(b0, s30);
        s31 = a.fma(b1, s31);
        s32 = a.fma(b2, s32);
        s33 = a.fma(b3, s33);
        at += VectorRowBlocks.PANEL;
      }
      s00.intoArray(partials, slot + lane);
      s01.intoArray(partials, slot + lane + SECOND);
      s02.intoArray(partials, slot + lane + THIRD);
      s03.intoArray(partials, slot + lane + FOURTH);
      s10.intoArray(partials, slot + lane + ROW);
      s11.intoArray(partials, slot + lane + ROW + SECOND);
      s12.intoArray(partials, slot + lane + ROW + THIRD);
      s13.intoArray(partials, slot + lane + ROW + FOURTH);
      s20.intoArray(partials, slot + lane + 2 * ROW);
      s21.intoArray(partials, slot + lane + 2 * ROW + SECOND);
      s22.intoArray(partials, slot + lane + 2 * ROW + THIRD);
      s23.intoArray(partials, slot + lane + 2 * ROW + FOURTH);
      s30.intoArray(partials, slot + lane + 3 * ROW);
      s31.intoArray(partials, slot + lane + 3 * ROW + SECOND);
      s32.intoArray(partials, slot + lane + 3 * ROW + THIRD);
      s33.intoArray(partials, slot + lane + 3 * ROW + FOURTH);
    }
  }

  /** Two rows of x. */
  static void twoRows(
      float[] x,
      int xOffset,
      int xStride,
      float[] w,
      int wOffset,
      int depth,
      float[] partials,
      int slot) {
    int x1 = xOffset + xStride;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s00 = broadcast(0f);
      FloatVector s01 = broadcast(0f);
      FloatVector s02 = broadcast(0f);
      FloatVector s03 = broadcast(0f);
      FloatVector s10 = broadcast(0f);
      FloatVector s11 = broadcast(0f);
      FloatVector s12 = broadcast(0f);
      FloatVector s13 = broadcast(0f);
      int at = wOffset + lane;
      for (int k = lane; k < depth; k += LANES) {
        FloatVector b0 = floats(w, at);
        FloatVector b1 = floats(w, at + LANES);
        FloatVector b2 = floats(w, at + 2 * LANES);
        FloatVector b3 = floats(w, at + 3 * LANES);
        FloatVector a = floats(x, xOffset + k);
        s00 = a.fma(b0, s00);
        s01 = a.fma(b1, s01);
        s02 = a.fma(b2, s02);
        s03 = a.fma(b3, s03);
        a = floats(x, x1 + k);
        s10 = a.fma(b0, s10);
        s11 = a.fma(b1, s11);
        s12 = a.fma(b2, s12);
        s13 = a.fma(b3, s13);
        at += VectorRowBlocks.PANEL;
      }
      s00.intoArray(partials, slot + lane);
      s01.intoArray(partials, slot + lane + SECOND);
      s02.intoArray(partials, slot + lane + THIRD);
      s03.intoArray(partials, slot + lane + FOURTH);
      s10.intoArray(partials, slot + lane + ROW);
      s11.intoArray(partials, slot + lane + ROW + SECOND);
      s12.intoArray(partials, slot + lane + ROW + THIRD);
      s13.intoArray(partials, slot + lane + ROW + FOURTH);
    }
  }

  /** One row of x. */
  static void oneRow(
      float[] x,
      int xOffset,
      int xStride,
      float[] w,
      int wOffset,
      int depth,
      float[] partials,
      int slot) {
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s00 = broadcast(0f);
      FloatVector s01 = broadcast(0f);
      FloatVector s02 = broadcast(0f);
      FloatVector s03 = broadcast(0f);
      int at = wOffset + lane;
      for (int k = lane; k < depth; k += LANES) {
        FloatVector b0 = floats(w, at);
        FloatVector b1 = floats(w, at + LANES);
        FloatVector b2 = floats(w, at + 2 * LANES);
        FloatVector b3 = floats(w, at + 3 * LANES);
        FloatVector a = floats(x, xOffset + k);
        s00 = a.fma(b0, s00);
        s01 = a.fma(b1, s01);
        s02 = a.fma(b2, s02);
        s03 = a.fma(b3, s03);
        at += VectorRowBlocks.PANEL;
      }
      s00.intoArray(partials, slot + lane);
      s01.intoArray(partials, slot + lane + SECOND);
      s02.intoArray(partials, slot + lane + THIRD);
      s03.intoArray(partials, slot + lane + FOURTH);
    }
  }
}
