package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;

import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.DType;

/**
 * The product of activations and a weight in the mapped file: sixteen rows of the weight at a time
 * are staged on the heap, multiplied with all rows of x, and their sums folded together.
 */
final class VectorMatmul {
  /** Rows of x up to which bfloat16 weights are widened in registers. */
  static final int FEW_ROWS = 8;

  private static final int TILE = 4;
  private static final int ROW = LANES * LANES;

  // Sixteen sums of a 4 x 4 tile and their operands need more than 16 registers of 256 bits.
  private static final int MOST_ROWS = WIDTH == 8 ? 2 : 4;

  private final float[] partials =
      new float[Math.max(FEW_ROWS, TILE) * ROW + LANES]; // [rows][16][16]
  private short[] raw = new short[0]; // [4][pitch]
  private float[] wide = new float[0]; // [16][pitch]

  void multiply(
      float[] x,
      int xStride,
      int rows,
      WeightMatrix weight,
      int from,
      int to,
      float[] bias,
      float[] out,
      int outStride) {
    boolean direct = rows <= FEW_ROWS && weight.dtype() == DType.BF16;
    int pitch = (weight.cols() + LANES - 1) / LANES * LANES;
    if (raw.length < TILE * pitch) {
      raw = new short[TILE * pitch];
      wide = new float[LANES * pitch];
    }
    for (int n = from; n < to; n += LANES) {
      int count = Math.min(LANES, to - n);
      if (direct) {
        for (int j = 0; j < count; j += TILE) {
          WeightStage.readShorts(weight, n + j, Math.min(TILE, count - j), raw, pitch);
          multiplyBFloat16(x, xStride, rows, pitch, j * LANES);
        }
        store(rows, count, bias, n, out, n, outStride);
      } else {
        WeightStage.readFloats(weight, n, count, raw, wide, pitch);
        for (int m = 0; m < rows; ) {
          int block = blockOf(rows - m);
          for (int j = 0; j < count; j += TILE) {
            multiplyWide(x, m * xStride, xStride, block, j * pitch, pitch, j * LANES);
          }
          store(block, count, bias, n, out, m * outStride + n, outStride);
          m += block;
        }
      }
    }
  }

  private static int blockOf(int rows) {
    return rows >= MOST_ROWS ? MOST_ROWS : rows >= 2 ? 2 : 1;
  }

  private void multiplyBFloat16(float[] x, int xStride, int rows, int pitch, int slot) {
    for (int m = 0; m < rows; ) {
      int block = blockOf(rows - m);
      int at = m * xStride;
      int to = m * ROW + slot;
      switch (block) {
        case 4 -> VectorBFloat16Tiles.fourRows(x, at, xStride, raw, 0, pitch, pitch, partials, to);
        case 2 -> VectorBFloat16Tiles.twoRows(x, at, xStride, raw, 0, pitch, pitch, partials, to);
        default -> VectorBFloat16Tiles.oneRow(x, at, xStride, raw, 0, pitch, pitch, partials, to);
      }
      m += block;
    }
  }

  private void multiplyWide(float[] x, int at, int xStride, int block, int w, int pitch, int slot) {
    switch (block) {
      case 4 -> VectorTiles.fourRows(x, at, xStride, wide, w, pitch, pitch, partials, slot);
      case 2 -> VectorTiles.twoRows(x, at, xStride, wide, w, pitch, pitch, partials, slot);
      default -> VectorTiles.oneRow(x, at, xStride, wide, w, pitch, pitch, partials, slot);
    }
  }

  private void store(
      int rows, int count, float[] bias, int n, float[] out, int outOffset, int outStride) {
    for (int m = 0; m < rows; m++) {
      int at = outOffset + m * outStride;
      VectorFold.foldRows(partials, m * ROW, count, out, at);
      if (bias != null) {
        for (int i = 0; i < count; i++) {
          out[at + i] += bias[n + i];
        }
      }
    }
  }
}
