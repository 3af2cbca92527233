package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;

import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.DType;

/**
 * The product of activations and a weight in the mapped file. Many rows of x go in blocks; fewer go
 * in tiles, whose sums are folded together; the fewest are bound by reading the weight.
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
  private static final int BLOCK_SUMS = FOLDED + FOLDED_ROWS * ROW / 2;
  private static final int BLOCK_FOLDED = BLOCK_SUMS + VectorRowBlocks.SUMS;
  private static final int FLOATS = BLOCK_FOLDED + LANES * VectorRowBlocks.ROWS;

  private final WeightStage stage = new WeightStage();

  // partials [32][16][16], half as much folded, sums of a block, folded [16][32]
  private final float[] floats = LineAligned.floats(FLOATS - LineAligned.FIRST);

  /** {@link CpuKernels#stageRows}. */
  static void stageRows(
      float[] x, int xOffset, int xStride, int rows, int depth, int from, int to, float[] staged) {
    int blocks = VectorRowBlocks.blocks(rows);
    for (int b = 0; b < blocks; b++) {
      int first = b * VectorRowBlocks.ROWS;
      int there = Math.min(VectorRowBlocks.ROWS, rows - first);
      int at = xOffset + first * xStride;
      int block = LineAligned.FIRST + first * depth;
      VectorRowBlocks.stage(x, at, xStride, there, depth, from, to, staged, block);
    }
    for (int m = blocks * VectorRowBlocks.ROWS; m < rows; m++) {
      int at = xOffset + m * xStride + from * LANES;
      int target = LineAligned.FIRST + m * depth + from * LANES;
      System.arraycopy(x, at, staged, target, (to - from) * LANES);
    }
  }

  /** {@link CpuKernels#matmul}. */
  void multiply(
      float[] x,
      int rows,
      WeightMatrix weight,
      int from,
      int to,
      float[] bias,
      float[] out,
      int outStride) {
    int blocks = VectorRowBlocks.blocks(rows);
    boolean isWide = weight.dtype() != DType.BF16 || blocks > 0 || (FEW_REGISTERS && rows >= EIGHT);
    stage.begin(weight, from, to, isWide);
    if (!isWide && rows < EIGHT) {
      multiplyFew(x, rows, weight, from, to, bias, out, outStride);
      return;
    }
    int blockRows = Math.min(rows, blocks * VectorRowBlocks.ROWS);
    for (int n = from; n < to; n += LANES) {
      int count = Math.min(LANES, to - n);
      stage.turn();
      for (int m = 0; m < blockRows; m += VectorRowBlocks.ROWS) {
        multiplyBlock(x, m, rows);
        int there = Math.min(VectorRowBlocks.ROWS, rows - m);
        storeBlock(there, count, bias, n, out, m * outStride + n, outStride);
      }
      for (int m = blockRows; m < rows; m += FOLDED_ROWS) {
        int some = Math.min(FOLDED_ROWS, rows - m);
        multiplyTiles(x, m, some, rows, count, isWide);
        store(some, count, bias, n, out, m * outStride + n, outStride);
      }
    }
  }

  /** Folded sums of 16 outputs and the block that begins with row {@code m} of {@code rows}. */
  private void multiplyBlock(float[] x, int m, int rows) {
    int pitch = stage.pitch();
    int block = LineAligned.FIRST + m * pitch;
    int passes = VectorRowBlocks.passes(pitch);
    int perRow = LANES / VectorRowBlocks.OUTPUTS * passes;
    int done = m * perRow;
    for (int j = 0; j < LANES; j += VectorRowBlocks.OUTPUTS) {
      int panel = stage.wideRow(j);
      for (int pass = 0; pass < passes; pass++) {
        VectorRowBlocks.pass(pass, x, block, stage.wide(), panel, pitch, floats, BLOCK_SUMS);
        done += VectorRowBlocks.ROWS;
        stage.readAhead(Math.min(done, rows * perRow), rows * perRow);
      }
      VectorRowBlocks.fold(floats, BLOCK_SUMS, floats, BLOCK_FOLDED + j * VectorRowBlocks.ROWS);
    }
  }

  private void storeBlock(
      int rows, int count, float[] bias, int n, float[] out, int outOffset, int outStride) {
    for (int m = 0; m < rows; m++) {
      int at = outOffset + m * outStride;
      int folded = BLOCK_FOLDED + m;
      for (int i = 0; i < count; i++) {
        out[at + i] = floats[folded + i * VectorRowBlocks.ROWS];
      }
    }
    addBias(rows, count, bias, n, out, outOffset, outStride);
  }

  /** Sums to be folded, of up to 32 rows from row {@code m} of {@code rows} on. */
  private void multiplyTiles(float[] x, int m, int some, int rows, int count, boolean isWide) {
    int pitch = stage.pitch();
    for (int i = 0; i < some; ) {
      int tile = !isWide && some - i >= EIGHT ? EIGHT : tileOf(some - i);
      int at = LineAligned.FIRST + (m + i) * pitch;
      int columns = tile == EIGHT ? 2 : TILE;
      for (int j = 0; j < count; j += columns) {
        int slot = PARTIALS + i * ROW + VectorFold.SLOTS[j] * LANES;
        if (isWide) {
          multiplyWide(x, at, tile, stage.wideRow(j), slot);
        } else {
          multiplyBFloat16(x, at, tile, j * pitch, slot);
        }
      }
      i += tile;
      stage.readAhead(m + i, rows);
    }
  }

  /** Bound by memory: four rows of the weight at a time stay in the first-level cache. */
  private void multiplyFew(
      float[] x,
      int rows,
      WeightMatrix weight,
      int from,
      int to,
      float[] bias,
      float[] out,
      int outStride) {
    int pitch = stage.pitch();
    for (int n = from; n < to; n += LANES) {
      int count = Math.min(LANES, to - n);
      for (int j = 0; j < count; j += TILE) {
        WeightStage.readShorts(weight, n + j, Math.min(TILE, count - j), stage.raw(), 0, pitch);
        int slot = PARTIALS + VectorFold.SLOTS[j] * LANES;
        for (int m = 0; m < rows; ) {
          int tile = tileOf(rows - m);
          multiplyBFloat16(x, LineAligned.FIRST + m * pitch, tile, 0, slot + m * ROW);
          m += tile;
        }
      }
      store(rows, count, bias, n, out, n, outStride);
    }
  }

  private static int tileOf(int rows) {
    return rows >= TILE && !FEW_REGISTERS ? TILE : rows >= 2 ? 2 : 1;
  }

  private void multiplyBFloat16(float[] x, int at, int tile, int w, int to) {
    int pitch = stage.pitch();
    short[] raw = stage.raw();
    switch (tile) {
      case EIGHT -> VectorBFloat16Tiles.eightRows(x, at, pitch, raw, w, pitch, pitch, floats, to);
      case 4 -> VectorBFloat16Tiles.fourRows(x, at, pitch, raw, w, pitch, pitch, floats, to);
      case 2 -> VectorBFloat16Tiles.twoRows(x, at, pitch, raw, w, pitch, pitch, floats, to);
      default -> VectorBFloat16Tiles.oneRow(x, at, pitch, raw, w, pitch, pitch, floats, to);
    }
  }

  private void multiplyWide(float[] x, int at, int tile, int w, int to) {
    int pitch = stage.pitch();
    float[] wide = stage.wide();
    switch (tile) {
      case 4 -> VectorTiles.fourRows(x, at, pitch, wide, w, pitch, floats, to);
      case 2 -> VectorTiles.twoRows(x, at, pitch, wide, w, pitch, floats, to);
      default -> VectorTiles.oneRow(x, at, pitch, wide, w, pitch, floats, to);
    }
  }

  private void store(
      int rows, int count, float[] bias, int n, float[] out, int outOffset, int outStride) {
    VectorFold.foldRows(floats, PARTIALS, rows, floats, FOLDED);
    for (int m = 0; m < rows; m++) {
      int at = outOffset + m * outStride;
      System.arraycopy(floats, PARTIALS + m * LANES, out, at, count);
    }
    addBias(rows, count, bias, n, out, outOffset, outStride);
  }

  private static void addBias(
      int rows, int count, float[] bias, int n, float[] out, int outOffset, int outStride) {
    if (bias != null) {
      for (int m = 0; m < rows; m++) {
        int at = outOffset + m * outStride;
        for (int i = 0; i < count; i++) {
          out[at + i] += bias[n + i];
        }
      }
    }
  }
}
