package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;

/**
 * The product with panels: a register tile of four rows and two panels. Where rows or panels are
 * missing at the edge, the last one is computed again in their place, which costs less than a
 * kernel for each number; one row alone has its own.
 */
final class VectorPanels {
  private static final int ROWS = 4;

  private VectorPanels() {}

  /** {@link CpuKernels#panelMultiply}. */
  static void multiply(
      float[] a,
      int aOffset,
      int aStride,
      int rows,
      float[] b,
      int bOffset,
      int panelStride,
      int panels,
      int depth,
      float[] out,
      int outOffset,
      int outStride) {
    for (int m = 0; m < rows; m++) {
      int row = outOffset + m * outStride;
      Arrays.fill(out, row, row + panels * LANES, 0f);
    }
    accumulate(
        a,
        aOffset,
        aStride,
        rows,
        b,
        bOffset,
        panelStride,
        panels,
        depth,
        out,
        outOffset,
        outStride);
  }

  /** As {@link #multiply}, but the sums go on from what {@code out} holds. */
  static void accumulate(
      float[] a,
      int aOffset,
      int aStride,
      int rows,
      float[] b,
      int bOffset,
      int panelStride,
      int panels,
      int depth,
      float[] out,
      int outOffset,
      int outStride) {
    for (int panel = 0; panel < panels; panel += 2) {
      int apart = Math.min(1, panels - 1 - panel);
      int b0 = bOffset + panel * panelStride;
      int b1 = b0 + apart * panelStride;
      int column = outOffset + panel * LANES;
      if (rows == 1) {
        oneRow(a, aOffset, b, b0, b1, depth, out, column, column + apart * LANES);
        continue;
      }
      for (int m = 0; m < rows; m += ROWS) {
        int last = Math.min(ROWS, rows - m) - 1;
        int to = column + m * outStride;
        fourRows(
            a,
            aOffset + m * aStride,
            aStride,
            last,
            b,
            b0,
            b1,
            depth,
            out,
            to,
            outStride,
            apart * LANES);
      }
    }
  }

  private static void oneRow(
      float[] a, int a0, float[] b, int b0, int b1, int depth, float[] out, int to, int otherTo) {
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s0 = floats(out, to + lane);
      FloatVector s1 = floats(out, otherTo + lane);
      for (int k = 0; k < depth; k++) {
        FloatVector x = broadcast(a[a0 + k]);
        s0 = x.fma(floats(b, b0 + k * LANES + lane), s0);
        s1 = x.fma(floats(b, b1 + k * LANES + lane), s1);
      }
      s0.intoArray(out, to + lane);
      s1.intoArray(out, otherTo + lane);
    }
  }

  private static void fourRows(
      float[] a,
      int a0,
      int aStride,
      int last,
      float[] b,
      int b0,
      int b1,
      int depth,
      float[] out,
      int to,
      int outStride,
      int apart) {
    int a1 = a0 + Math.min(1, last) * aStride;
    int a2 = a0 + Math.min(2, last) * aStride;
    int a3 = a0 + last * aStride;
    int to1 = to + Math.min(1, last) * outStride;
    int to2 = to + Math.min(2, last) * outStride;
    int to3 = to + last * outStride;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s00 = floats(out, to + lane);
      FloatVector s01 = floats(out, to + apart + lane);
      FloatVector s10 = floats(out, to1 + lane);
      FloatVector s11 = floats(out, to1 + apart + lane);
      FloatVector s20 = floats(out, to2 + lane);
      FloatVector s21 = floats(out, to2 + apart + lane);
      FloatVector s30 = floats(out, to3 + lane);
      FloatVector s31 = floats(out, to3 + apart + lane);
      for (int k = 0; k < depth; k++) {
        FloatVector left = floats(b, b0 + k * LANES + lane);
        FloatVector right = floats(b, b1 + k * LANES + lane);
        FloatVector x = broadcast(a[a0 + k]);
        s00 = x.fma(left, s00);
        s01 = x.fma(right, s01);
        x = broadcast(a[a1 + k]);
        s10 = x.fma(left, s10);
        s11 = x.fma(right, s11);
        x = broadcast(a[a2 + k]);
        s20 = x.fma(left, s20);
        s21 = x.fma(right, s21);
        x = broadcast(a[a3 + k]);
        s30 = x.fma(left, s30);
        s31 = x.fma(right, s31);
      }
      store(s00, s01, out, to + lane, apart);
      store(s10, s11, out, to1 + lane, apart);
      store(s20, s21, out, to2 + lane, apart);
      store(s30, s31, out, to3 + lane, apart);
    }
  }

  private static void store(FloatVector left, FloatVector right, float[] out, int to, int apart) {
    left.intoArray(out, to);
    right.intoArray(out, to + apart);
  }
}
