package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.INTS;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;
import static dev.bulkgen.backend.cpu.VectorLanes.codes;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;
import static dev.bulkgen.backend.cpu.VectorLanes.halves;

import dev.bulkgen.tensor.Float16;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Attention scores of a decode step: lanes run over tokens, and a key is widened or unpacked once
 * for four query heads. Where fewer are left, the last one is computed again in their place, which
 * costs less than a kernel for each number; a single head takes two tiles of tokens instead.
 */
final class VectorScores {
  private static final int HEADS = 4;

  private final float[] sums = new float[LANES];
  private float[] scaled = new float[0]; // [heads][headDim]
  private float[] bases = new float[0]; // [heads]
  private float[] scale = new float[0]; // [headDim]
  private float[] zero = new float[0]; // [headDim]

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
    if (heads == 1) {
      for (int t = 0; t < group; t += 2 * LANES) {
        int other = Math.min(t + LANES, group - LANES);
        int word = wordOffset + t;
        int to = scoreOffset + t;
        codedTwoTiles(scaled, bases[0], headDim, bits, words, word, other - t, group, scores, to);
      }
      return;
    }
    for (int t = 0; t < group; t += LANES) {
      for (int h = 0; h < heads; h += HEADS) {
        int to = scoreOffset + t + h * scoreStride;
        codedFourHeads(
            scaled,
            bases,
            h,
            heads - 1,
            headDim,
            bits,
            words,
            wordOffset + t,
            group,
            scores,
            to,
            scoreStride);
      }
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
    }
    widen(scales, scaleOffset, scale, headDim);
    widen(zeros, zeroOffset, zero, headDim);
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

  /** Widens {@code count} finite halves. */
  static void widen(short[] source, int offset, float[] target, int count) {
    int i = 0;
    for (; i <= count - WIDTH; i += WIDTH) {
      halves(source, offset + i).intoArray(target, i);
    }
    for (; i < count; i++) {
      target[i] = Float16.toFloat(source[offset + i]);
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

  private static void codedTwoTiles(
      float[] scaled,
      float base,
      int headDim,
      int bits,
      int[] words,
      int word,
      int apart,
      int group,
      float[] scores,
      int to) {
    int perWord = Integer.SIZE / bits;
    int mask = (1 << bits) - 1;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s0 = broadcast(base);
      FloatVector s1 = broadcast(base);
      int at = word + lane;
      for (int first = 0; first < headDim; first += perWord) {
        IntVector w0 = IntVector.fromArray(INTS, words, at);
        IntVector w1 = IntVector.fromArray(INTS, words, at + apart);
        int end = Math.min(headDim, first + perWord);
        for (int d = first; d < end; d++) {
          FloatVector query = broadcast(scaled[d]);
          s0 = query.fma(codes(w0, mask), s0);
          s1 = query.fma(codes(w1, mask), s1);
          w0 = w0.lanewise(VectorOperators.LSHR, bits);
          w1 = w1.lanewise(VectorOperators.LSHR, bits);
        }
        at += group;
      }
      s0.intoArray(scores, to + lane);
      s1.intoArray(scores, to + apart + lane);
    }
  }

  private static void codedFourHeads(
      float[] scaled,
      float[] bases,
      int head,
      int lastHead,
      int headDim,
      int bits,
      int[] words,
      int word,
      int group,
      float[] scores,
      int to,
      int scoreStride) {
    int h1 = Math.min(1, lastHead - head);
    int h2 = Math.min(2, lastHead - head);
    int h3 = Math.min(3, lastHead - head);
    int q0 = head * headDim;
    int q1 = q0 + h1 * headDim;
    int q2 = q0 + h2 * headDim;
    int q3 = q0 + h3 * headDim;
    int perWord = Integer.SIZE / bits;
    int mask = (1 << bits) - 1;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s0 = broadcast(bases[head]);
      FloatVector s1 = broadcast(bases[head + h1]);
      FloatVector s2 = broadcast(bases[head + h2]);
      FloatVector s3 = broadcast(bases[head + h3]);
      int at = word + lane;
      for (int first = 0; first < headDim; first += perWord) {
        IntVector w = IntVector.fromArray(INTS, words, at);
        int end = Math.min(headDim, first + perWord);
        for (int d = first; d < end; d++) {
          FloatVector code = codes(w, mask);
          s0 = broadcast(scaled[q0 + d]).fma(code, s0);
          s1 = broadcast(scaled[q1 + d]).fma(code, s1);
          s2 = broadcast(scaled[q2 + d]).fma(code, s2);
          s3 = broadcast(scaled[q3 + d]).fma(code, s3);
          w = w.lanewise(VectorOperators.LSHR, bits);
        }
        at += group;
      }
      s0.intoArray(scores, to + lane);
      s1.intoArray(scores, to + h1 * scoreStride + lane);
      s2.intoArray(scores, to + h2 * scoreStride + lane);
      s3.intoArray(scores, to + h3 * scoreStride + lane);
    }
  }
}
