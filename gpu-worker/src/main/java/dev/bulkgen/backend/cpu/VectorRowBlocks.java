package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;

import jdk.incubator.vector.FloatVector;

/**
 * The product with blocks of 32 rows of x, whose lanes run over the rows: sums of sixteen
 * interleaved parts are then whole vectors, and folding them takes no lane apart. A block of x is
 * laid out [16][depth / 16][32], the parts in the order of {@link VectorFold#SLOTS}, so that passes
 * read it from one end to the other and sums are folded while they are in the first-level cache; w
 * comes in panels of eight outputs, [depth / 16][8][16].
 */
final class VectorRowBlocks {
  /** Rows of x in a block. */
  static final int ROWS = CpuKernels.STAGED_ROWS;

  /** Outputs of a panel of w. */
  static final int OUTPUTS = 8;

  /** Floats from one vector of a weight's row to the next. */
  static final int PANEL = OUTPUTS * LANES;

  // Vectors of a row of w that stay in the first-level cache until all sixteen passes used them.
  private static final int DEPTH_BLOCK = 48;

  // From so many rows on, a block with rows of zeros is faster than tiles of rows.
  private static final int WORTH_A_BLOCK = 29;

  private static final int PART = OUTPUTS * ROWS;

  /** Floats of a panel's sums, [16][8][32], and zeros to begin with, [8][32]. */
  static final int SUMS = (LANES + 1) * PART;

  private VectorRowBlocks() {}

  /** How many blocks {@code rows} rows make; the rest, and all where registers are few, are not. */
  static int blocks(int rows) {
    return WIDTH == 8 ? 0 : (rows + ROWS - WORTH_A_BLOCK) / ROWS;
  }

  /**
   * Lays out vectors {@code [from, to)} of the columns of one block.
   *
   * @param rows of x there are; the block's others are zeros
   * @param depth of a row, a multiple of 16
   */
  static void stage(
      float[] x,
      int xOffset,
      int xStride,
      int rows,
      int depth,
      int from,
      int to,
      float[] block,
      int offset) {
    int step = depth / LANES * ROWS;
    for (int j = from; j < to; j++) {
      stageVector(x, xOffset + j * LANES, xStride, rows, block, offset + j * ROWS, step);
    }
  }

  private static void stageVector(
      float[] x, int at, int xStride, int rows, float[] block, int to, int step) {
    for (int lane = 0; lane < LANES; lane++) {
      int row = to + VectorFold.SLOTS[lane] * step;
      for (int m = 0; m < rows; m++) {
        block[row + m] = x[at + m * xStride + lane];
      }
      for (int m = rows; m < ROWS; m++) {
        block[row + m] = 0f;
      }
    }
  }

  /** Passes of the product of a block and a panel. */
  static int passes(int depth) {
    return LANES * depthBlocks(depth);
  }

  /** Pass {@code pass} of {@link #passes}; all of them in turn leave sums to {@link #fold}. */
  static void pass(
      int pass,
      float[] block,
      int blockOffset,
      float[] panel,
      int panelOffset,
      int depth,
      float[] sums,
      int offset) {
    int vectors = depth / LANES;
    int parts = depthBlocks(depth);
    int part = pass / LANES;
    int slot = pass % LANES;
    int from = vectors * part / parts;
    int to = vectors * (part + 1) / parts;
    int x = blockOffset + (slot * vectors + from) * ROWS;
    int w = panelOffset + from * PANEL + VectorFold.SLOTS[slot];
    int out = offset + slot * PART;
    multiply(block, x, panel, w, to - from, sums, part == 0 ? offset + LANES * PART : out, out);
    if (part == parts - 1 && slot % 4 == 3) {
      foldFour(sums, out - 3 * PART, PART, sums, out - 3 * PART);
    }
  }

  /** Leaves {@code folded[8][32]}. */
  static void fold(float[] sums, int offset, float[] folded, int to) {
    foldFour(sums, offset, 4 * PART, folded, to);
  }

  private static int depthBlocks(int depth) {
    return (depth / LANES + DEPTH_BLOCK - 1) / DEPTH_BLOCK;
  }

  /** Adds {@code count} products to what is at {@code from}. */
  private static void multiply(
      float[] block, int x, float[] panel, int w, int count, float[] sums, int from, int to) {
    for (int row = 0; row < ROWS; row += 2 * WIDTH) {
      int left = from + row;
      int right = left + WIDTH;
      FloatVector s00 = floats(sums, left);
      FloatVector s01 = floats(sums, right);
      FloatVector s10 = floats(sums, left + ROWS);
      FloatVector s11 = floats(sums, right + ROWS);
      FloatVector s20 = floats(sums, left + 2 * ROWS);
      FloatVector s21 = floats(sums, right + 2 * ROWS);
      FloatVector s30 = floats(sums, left + 3 * ROWS);
      FloatVector s31 = floats(sums, right + 3 * ROWS);
      FloatVector s40 = floats(sums, left + 4 * ROWS);
      FloatVector s41 = floats(sums, right + 4 * ROWS);
      FloatVector s50 = floats(sums, left + 5 * ROWS);
      FloatVector s51 = floats(sums, right + 5 * ROWS);
      FloatVector s60 = floats(sums, left + 6 * ROWS);
      FloatVector s61 = floats(sums, right + 6 * ROWS);
      FloatVector s70 = floats(sums, left + 7 * ROWS);
      FloatVector s71 = floats(sums, right + 7 * ROWS);
      int at = x + row;
      int k = w;
      for (int i = 0; i < count; i++) {
        FloatVector a0 = floats(block, at);
        FloatVector a1 = floats(block, at + WIDTH);
        FloatVector b = broadcast(panel[k]);
        s00 = a0.fma(b, s00);
        s01 = a1.fma(b, s01);
        b = broadcast(panel[k + LANES]);
        s10 = a0.fma(b, s10);
        s11 = a1.fma(b, s11);
        b = broadcast(panel[k + 2 * LANES]);
        s20 = a0.fma(b, s20);
        s21 = a1.fma(b, s21);
        b = broadcast(panel[k + 3 * LANES]);
        s30 = a0.fma(b, s30);
        s31 = a1.fma(b, s31);
        b = broadcast(panel[k + 4 * LANES]);
        s40 = a0.fma(b, s40);
        s41 = a1.fma(b, s41);
        b = broadcast(panel[k + 5 * LANES]);
        s50 = a0.fma(b, s50);
        s51 = a1.fma(b, s51);
        b = broadcast(panel[k + 6 * LANES]);
        s60 = a0.fma(b, s60);
        s61 = a1.fma(b, s61);
        b = broadcast(panel[k + 7 * LANES]);
        s70 = a0.fma(b, s70);
        s71 = a1.fma(b, s71);
        at += ROWS;
        k += PANEL;
      }
      left = to + row;
      right = left + WIDTH;
      s00.intoArray(sums, left);
      s01.intoArray(sums, right);
      s10.intoArray(sums, left + ROWS);
      s11.intoArray(sums, right + ROWS);
      s20.intoArray(sums, left + 2 * ROWS);
      s21.intoArray(sums, right + 2 * ROWS);
      s30.intoArray(sums, left + 3 * ROWS);
      s31.intoArray(sums, right + 3 * ROWS);
      s40.intoArray(sums, left + 4 * ROWS);
      s41.intoArray(sums, right + 4 * ROWS);
      s50.intoArray(sums, left + 5 * ROWS);
      s51.intoArray(sums, right + 5 * ROWS);
      s60.intoArray(sums, left + 6 * ROWS);
      s61.intoArray(sums, right + 6 * ROWS);
      s70.intoArray(sums, left + 7 * ROWS);
      s71.intoArray(sums, right + 7 * ROWS);
    }
  }

  /** Two steps of the fold of {@link VectorFold}, of whole vectors. */
  private static void foldFour(float[] sums, int offset, int stride, float[] folded, int to) {
    for (int i = 0; i < PART; i += WIDTH) {
      int at = offset + i;
      FloatVector left = floats(sums, at).add(floats(sums, at + stride));
      FloatVector right = floats(sums, at + 2 * stride).add(floats(sums, at + 3 * stride));
      left.add(right).intoArray(folded, to + i);
    }
  }
}
