package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;

import jdk.incubator.vector.FloatVector;

/**
 * The product with panels of the prefill: a register tile of four rows and two panels. Where rows
 * or panels are missing at the edge, the last one is computed again in their place.
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
    for (int panel = 0; panel < panels; panel += 2) {
      int apart = Math.min(1, panels - 1 - panel);
      int first = bOffset + panel * panelStride;
      int column = outOffset + panel * LANES;
      for (int m = 0; m < rows; m += ROWS) {
        int last = Math.min(ROWS, rows - m) - 1;
        tile(
            a,
            aOffset + m * aStride,
            aStride,
            last,
            b,
            first,
            first + apart * panelStride,
            depth,
            out,
            column + m * outStride,
            outStride,
            apart * LANES);
      }
    }
  }

  private static void tile(
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
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s00 = broadcast(0f);
      FloatVector s01 = broadcast(0f);
      FloatVector s10 = broadcast(0f);
      FloatVector s11 = broadcast(0f);
      FloatVector s20 = broadcast(0f);
      FloatVector s21 = broadcast(0f);
      FloatVector s30 = broadcast(0f);
      FloatVector s31 = broadcast(0f);
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
      store(s10, s11, out, to + Math.min(1, last) * outStride + lane, apart);
      store(s20, s21, out, to + Math.min(2, last) * outStride + lane, apart);
      store(s30, s31, out, to + last * outStride + lane, apart);
    }
  }

  private static void store(FloatVector left, FloatVector right, float[] out, int to, int apart) {
    left.intoArray(out, to);
    right.intoArray(out, to + apart);
  }
}
