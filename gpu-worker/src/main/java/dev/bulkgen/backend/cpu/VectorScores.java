package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;
import static dev.bulkgen.backend.cpu.VectorLanes.halves;

import java.util.Arrays;
import jdk.incubator.vector.FloatVector;

/**
 * Attention scores of a decode step: lanes run over tokens. A float16 key is widened in registers
 * once for four query heads, coded keys are unpacked to panels once for all. Where fewer are left,
 * the last one is computed again in their place, which costs less than a kernel for each number; a
 * single head takes two tiles of tokens instead.
 */
final class VectorScores {
  private static final int HEADS = 4;

  // Few enough to stay in the first-level cache until all heads have used them.
  private static final int PANELS = 2;

  private final float[] sums = new float[LANES];
  private float[] scaled = new float[0]; // [heads][headDim]
  private float[] bases = new float[0]; // [heads]
  private float[] scale = new float[0]; // [headDim]
  private float[] zero = new float[0]; // [headDim]
  private float[] panels = new float[0]; // [2][headDim][16]

  /** {@link CpuKernels#fp16Scores}. */
  static void fp16(
      float[] q,
      int heads,
      int headDim,
      short[] keys,
      int keyOffset,
      int tiles,
      float[] scores,
      int scoreOffset,
      int scoreStride) {
    int tileStride = headDim * LANES;
    if (heads == 1) {
      for (int tile = 0; tile < tiles; tile += 2) {
        int other = Math.min(tile + 1, tiles - 1);
        int key = keyOffset + tile * tileStride;
        int otherKey = keyOffset + other * tileStride;
        int to = scoreOffset + tile * LANES;
        fp16TwoTiles(q, headDim, keys, key, otherKey, scores, to, scoreOffset + other * LANES);
      }
      return;
    }
    for (int tile = 0; tile < tiles; tile++) {
      int key = keyOffset + tile * tileStride;
      int to = scoreOffset + tile * LANES;
      for (int h = 0; h < heads; h += HEADS) {
        int last = heads - 1 - h;
        fp16FourHeads(
            q, h * headDim, last, headDim, keys, key, scores, to + h * scoreStride, scoreStride);
      }
    }
  }

  /** {@link CpuKernels#codedScores}. */
  void coded(
      float[] q,
      int heads,
      int headDim,
      int bits,
      int group,
      int[] words,
      int wordOffset,
      short[] scales,
      int scaleOffset,
      short[] zeros,
      int zeroOffset,
      float[] scores,
      int scoreOffset,
      int scoreStride) {
    fold(q, heads, headDim, scales, scaleOffset, zeros, zeroOffset);
    for (int h = 0; h < heads; h++) {
      int row = scoreOffset + h * scoreStride;
      Arrays.fill(scores, row, row + group, bases[h]);
    }
    if (heads <= VectorCodedPanels.ROWS) {
      VectorCodedPanels.accumulate(
          scaled,
          0,
          headDim,
          heads,
          words,
          wordOffset,
          group,
          bits,
          group / LANES,
          headDim,
          scores,
          scoreOffset,
          scoreStride);
      return;
    }
    int panelStride = headDim * LANES;
    for (int t = 0; t < group; t += PANELS * LANES) {
      int count = Math.min(PANELS, (group - t) / LANES);
      for (int i = 0; i < count; i++) {
        int word = wordOffset + t + i * LANES;
        VectorCodes.unpack(words, word, group, bits, headDim, panels, i * panelStride);
      }
      VectorPanels.accumulate(
          scaled,
          0,
          headDim,
          heads,
          panels,
          0,
          panelStride,
          count,
          headDim,
          scores,
          scoreOffset + t,
          scoreStride);
    }
  }

  /** Folds the scales into the queries and sums up what the zeros add to every token. */
  private void fold(
      float[] q,
      int heads,
      int headDim,
      short[] scales,
      int scaleOffset,
      short[] zeros,
      int zeroOffset) {
    if (scaled.length < heads * headDim || scale.length < headDim || bases.length < heads) {
      scaled = new float[heads * headDim];
      bases = new float[heads];
      scale = new float[headDim];
      zero = new float[headDim];
      panels = new float[PANELS * headDim * LANES];
    }
    VectorCodes.widen(scales, scaleOffset, scale, headDim);
    VectorCodes.widen(zeros, zeroOffset, zero, headDim);
    for (int h = 0; h < heads; h++) {
      foldHead(q, h * headDim, headDim, scale, zero, scaled, sums);
      bases[h] = VectorFold.fold(sums);
    }
  }

  private static void foldHead(
      float[] q,
      int offset,
      int headDim,
      float[] scale,
      float[] zero,
      float[] scaled,
      float[] sums) {
    int whole = headDim / LANES * LANES;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector sum = broadcast(0f);
      for (int d = lane; d < whole; d += LANES) {
        FloatVector query = floats(q, offset + d);
        query.mul(floats(scale, d)).intoArray(scaled, offset + d);
        sum = query.fma(floats(zero, d), sum);
      }
      sum.intoArray(sums, lane);
    }
    for (int d = whole; d < headDim; d++) {
      scaled[offset + d] = q[offset + d] * scale[d];
      sums[d - whole] = Math.fma(q[offset + d], zero[d], sums[d - whole]);
    }
  }

  private static void fp16TwoTiles(
      float[] q,
      int headDim,
      short[] keys,
      int key,
      int otherKey,
      float[] scores,
      int to,
      int otherTo) {
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s0 = broadcast(0f);
      FloatVector s1 = broadcast(0f);
      for (int d = 0; d < headDim; d++) {
        FloatVector query = broadcast(q[d]);
        s0 = query.fma(halves(keys, key + d * LANES + lane), s0);
        s1 = query.fma(halves(keys, otherKey + d * LANES + lane), s1);
      }
      s0.intoArray(scores, to + lane);
      s1.intoArray(scores, otherTo + lane);
    }
  }

  private static void fp16FourHeads(
      float[] q,
      int q0,
      int last,
      int headDim,
      short[] keys,
      int key,
      float[] scores,
      int to,
      int scoreStride) {
    int q1 = q0 + Math.min(1, last) * headDim;
    int q2 = q0 + Math.min(2, last) * headDim;
    int q3 = q0 + Math.min(3, last) * headDim;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s0 = broadcast(0f);
      FloatVector s1 = broadcast(0f);
      FloatVector s2 = broadcast(0f);
      FloatVector s3 = broadcast(0f);
      for (int d = 0; d < headDim; d++) {
        FloatVector k = halves(keys, key + d * LANES + lane);
        s0 = broadcast(q[q0 + d]).fma(k, s0);
        s1 = broadcast(q[q1 + d]).fma(k, s1);
        s2 = broadcast(q[q2 + d]).fma(k, s2);
        s3 = broadcast(q[q3 + d]).fma(k, s3);
      }
      s0.intoArray(scores, to + lane);
      s1.intoArray(scores, to + Math.min(1, last) * scoreStride + lane);
      s2.intoArray(scores, to + Math.min(2, last) * scoreStride + lane);
      s3.intoArray(scores, to + Math.min(3, last) * scoreStride + lane);
    }
  }
}
