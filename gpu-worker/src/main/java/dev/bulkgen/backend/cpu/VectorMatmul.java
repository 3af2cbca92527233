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
  private static final int ROW = LANES * LANES;
  private static final int TILE = 4;
  private static final int EIGHT = 8;

  // Rows whose sums wait to be folded: enough that the fold never waits for them.
  private static final int FOLDED_ROWS = 32;

  // There are 16 registers of 256 bits, 32 of the other widths.
  private static final boolean FEW_REGISTERS = WIDTH == 8;

  private static final int PARTIALS = LineAligned.FIRST;
  private static final int FOLDED = PARTIALS + FOLDED_ROWS * ROW;
  private static final int WIDE = FOLDED + FOLDED_ROWS * ROW / 2;

  private short[] raw = new short[0]; // [16][pitch]
  private short[] nextRaw = new short[0]; // [16][pitch]
  private float[] floats = new float[0]; // partials [32][16][16], half as much folded, [16][pitch]

  // The weight's next rows: read while these are multiplied, so that the memory is always busy.
  private WeightMatrix weight;
  private int nextRow;
  private int nextCount;
  private int nextRead;
  private int pitch;

  void multiply(
      float[] x,
      int xOffset,
      int xStride,
      int rows,
      WeightMatrix weight,
      int from,
      int to,
      float[] bias,
      float[] out,
      int outStride) {
    reserve(weight);
    if (weight.dtype() == DType.BF16 && rows < EIGHT) {
      multiplyFew(x, xOffset, xStride, rows, from, to, bias, out, outStride);
      return;
    }
    boolean direct = weight.dtype() == DType.BF16 && !FEW_REGISTERS;
    next(from, to);
    for (int n = from; n < to; n += LANES) {
      int count = Math.min(LANES, to - n);
      turn(n + count, to);
      if (!direct) {
        widen(n, count);
      }
      for (int m = 0; m < rows; m += FOLDED_ROWS) {
        int block = Math.min(FOLDED_ROWS, rows - m);
        for (int i = 0; i < block; ) {
          int tile = direct && block - i >= EIGHT ? EIGHT : tileOf(block - i);
          int at = xOffset + (m + i) * xStride;
          int columns = tile == EIGHT ? 2 : TILE;
          for (int j = 0; j < count; j += columns) {
            int slot = PARTIALS + i * ROW + VectorFold.SLOTS[j] * LANES;
            if (direct) {
              multiplyBFloat16(x, at, xStride, tile, j * pitch, slot);
            } else {
              multiplyWide(x, at, xStride, tile, WIDE + j * pitch, slot);
            }
          }
          i += tile;
          readAhead((int) ((long) nextCount * (m + i) / rows));
        }
        store(block, count, bias, n, out, m * outStride + n, outStride);
      }
    }
  }

  /** Bound by memory: four rows of the weight at a time stay in the first-level cache. */
  private void multiplyFew(
      float[] x,
      int xOffset,
      int xStride,
      int rows,
      int from,
      int to,
      float[] bias,
      float[] out,
      int outStride) {
    for (int n = from; n < to; n += LANES) {
      int count = Math.min(LANES, to - n);
      for (int j = 0; j < count; j += TILE) {
        WeightStage.readShorts(weight, n + j, Math.min(TILE, count - j), raw, 0, pitch);
        int slot = PARTIALS + VectorFold.SLOTS[j] * LANES;
        for (int m = 0; m < rows; ) {
          int tile = tileOf(rows - m);
          multiplyBFloat16(x, xOffset + m * xStride, xStride, tile, 0, slot + m * ROW);
          m += tile;
        }
      }
      store(rows, count, bias, n, out, n, outStride);
    }
  }

  private void reserve(WeightMatrix weight) {
    this.weight = weight;
    pitch = (weight.cols() + LANES - 1) / LANES * LANES;
    if (raw.length < LANES * pitch) {
      raw = new short[LANES * pitch];
      nextRaw = new short[LANES * pitch];
      floats = LineAligned.floats(WIDE - LineAligned.FIRST + LANES * pitch);
    }
  }

  /** What was read ahead becomes current, and rows {@code [row, to)} what follows. */
  private void turn(int row, int to) {
    readAhead(nextCount);
    short[] read = nextRaw;
    nextRaw = raw;
    raw = read;
    next(row, to);
  }

  private void next(int row, int to) {
    nextRow = row;
    nextCount = weight.dtype() == DType.F32 ? 0 : Math.min(LANES, to - row);
    nextRead = 0;
  }

  private void readAhead(int due) {
    int at = nextRead * pitch;
    WeightStage.readShorts(weight, nextRow + nextRead, due - nextRead, nextRaw, at, pitch);
    nextRead = due;
  }

  private void widen(int row, int count) {
    if (weight.dtype() == DType.F32) {
      WeightStage.readFloats(weight, row, count, floats, WIDE, pitch);
    } else {
      WeightStage.widen(weight.dtype(), raw, floats, WIDE, count * pitch);
    }
  }

  private static int tileOf(int rows) {
    return rows >= TILE && !FEW_REGISTERS ? TILE : rows >= 2 ? 2 : 1;
  }

  private void multiplyBFloat16(float[] x, int at, int xStride, int tile, int w, int to) {
    switch (tile) {
      case EIGHT -> VectorBFloat16Tiles.eightRows(x, at, xStride, raw, w, pitch, pitch, floats, to);
      case 4 -> VectorBFloat16Tiles.fourRows(x, at, xStride, raw, w, pitch, pitch, floats, to);
      case 2 -> VectorBFloat16Tiles.twoRows(x, at, xStride, raw, w, pitch, pitch, floats, to);
      default -> VectorBFloat16Tiles.oneRow(x, at, xStride, raw, w, pitch, pitch, floats, to);
    }
  }

  private void multiplyWide(float[] x, int at, int xStride, int tile, int w, int to) {
    switch (tile) {
      case 4 -> VectorTiles.fourRows(x, at, xStride, floats, w, pitch, pitch, floats, to);
      case 2 -> VectorTiles.twoRows(x, at, xStride, floats, w, pitch, pitch, floats, to);
      default -> VectorTiles.oneRow(x, at, xStride, floats, w, pitch, pitch, floats, to);
    }
  }

  private void store(
      int rows, int count, float[] bias, int n, float[] out, int outOffset, int outStride) {
    VectorFold.foldRows(floats, PARTIALS, rows, floats, FOLDED);
    for (int m = 0; m < rows; m++) {
      int at = outOffset + m * outStride;
      System.arraycopy(floats, PARTIALS + m * LANES, out, at, count);
      if (bias != null) {
        for (int i = 0; i < count; i++) {
          out[at + i] += bias[n + i];
        }
      }
    }
  }
}
