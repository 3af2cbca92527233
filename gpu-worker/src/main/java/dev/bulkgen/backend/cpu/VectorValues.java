package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.INTS;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;
import static dev.bulkgen.backend.cpu.VectorLanes.codes;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;
import static dev.bulkgen.backend.cpu.VectorLanes.halves;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Weighted sums of values of a decode step: lanes run over channels, and a value is widened or
 * unpacked once for four query heads, as in {@link VectorScores}. Channels beyond the last multiple
 * of 16 are copied to rows of their own, so that no load leaves its array.
 */
final class VectorValues {
  private static final int HEADS = 4;

  private float[] factors = new float[0]; // [heads][groups][tokens]
  private float[] scale = new float[0]; // [tokens]
  private float[] zero = new float[0]; // [tokens]
  private float[] tailOut = new float[0]; // [heads][16]
  private short[] tailValues = new short[0]; // [tokens][16]
  private int[] tailWords = new int[0]; // [words][16]

  /** {@link CpuKernels#fp16Values}. */
  void fp16(
      float[] p,
      int pOffset,
      int pStride,
      int heads,
      int headDim,
      short[] values,
      int valueOffset,
      int tokens,
      float[] out,
      int outStride) {
    int whole = headDim / LANES * LANES;
    for (int d = 0; d < whole; d += LANES) {
      for (int h = 0; h < heads; h += HEADS) {
        int to = d + h * outStride;
        fp16FourHeads(
            p,
            pOffset + h * pStride,
            pStride,
            heads - 1 - h,
            values,
            valueOffset + d,
            headDim,
            tokens,
            out,
            to,
            outStride);
      }
    }
    if (whole == headDim) {
      return;
    }
    int tail = headDim - whole;
    if (tailValues.length < tokens * LANES) {
      tailValues = new short[tokens * LANES];
    }
    for (int t = 0; t < tokens; t++) {
      System.arraycopy(values, valueOffset + t * headDim + whole, tailValues, t * LANES, tail);
    }
    takeTail(out, whole, tail, heads, outStride);
    for (int h = 0; h < heads; h += HEADS) {
      fp16FourHeads(
          p,
          pOffset + h * pStride,
          pStride,
          heads - 1 - h,
          tailValues,
          0,
          LANES,
          tokens,
          tailOut,
          h * LANES,
          LANES);
    }
    giveTail(out, whole, tail, heads, outStride);
  }

  /** {@link CpuKernels#codedValues}. */
  void coded(
      float[] p,
      int pOffset,
      int pStride,
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
      int scaleStride,
      int tokens,
      float[] out,
      int outStride,
      float[] zeroSums) {
    int groups = (headDim + group - 1) / group;
    reserve(heads, groups, tokens);
    for (int g = 0; g < groups; g++) {
      VectorScores.widen(scales, scaleOffset + g * scaleStride, scale, tokens);
      VectorScores.widen(zeros, zeroOffset + g * scaleStride, zero, tokens);
      for (int h = 0; h < heads; h++) {
        multiply(p, pOffset + h * pStride, scale, factors, (h * groups + g) * tokens, tokens);
      }
      for (int h = 0; h < heads; h += HEADS) {
        addZeros(
            p,
            pOffset + h * pStride,
            pStride,
            heads - 1 - h,
            zero,
            tokens,
            zeroSums,
            h * groups + g,
            groups);
      }
    }
    int whole = headDim / LANES * LANES;
    int stride = groups * tokens;
    for (int d = 0; d < whole; d += LANES) {
      for (int h = 0; h < heads; h += HEADS) {
        int factor = h * stride + d / group * tokens;
        codedFourHeads(
            factors,
            factor,
            stride,
            heads - 1 - h,
            bits,
            words,
            wordOffset + d,
            headDim,
            tokens,
            out,
            d + h * outStride,
            outStride);
      }
    }
    if (whole == headDim) {
      return;
    }
    int tail = headDim - whole;
    int wordRows = (tokens * bits + Integer.SIZE - 1) / Integer.SIZE;
    for (int row = 0; row < wordRows; row++) {
      System.arraycopy(words, wordOffset + row * headDim + whole, tailWords, row * LANES, tail);
    }
    takeTail(out, whole, tail, heads, outStride);
    for (int h = 0; h < heads; h += HEADS) {
      int factor = h * stride + whole / group * tokens;
      codedFourHeads(
          factors,
          factor,
          stride,
          heads - 1 - h,
          bits,
          tailWords,
          0,
          LANES,
          tokens,
          tailOut,
          h * LANES,
          LANES);
    }
    giveTail(out, whole, tail, heads, outStride);
  }

  private void reserve(int heads, int groups, int tokens) {
    if (factors.length < heads * groups * tokens) {
      factors = new float[heads * groups * tokens];
    }
    if (scale.length < tokens) {
      scale = new float[tokens];
      zero = new float[tokens];
      tailWords = new int[tokens * LANES];
    }
  }

  private void takeTail(float[] out, int from, int count, int heads, int outStride) {
    if (tailOut.length < heads * LANES) {
      tailOut = new float[heads * LANES];
    }
    for (int h = 0; h < heads; h++) {
      System.arraycopy(out, h * outStride + from, tailOut, h * LANES, count);
    }
  }

  private void giveTail(float[] out, int from, int count, int heads, int outStride) {
    for (int h = 0; h < heads; h++) {
      System.arraycopy(tailOut, h * LANES, out, h * outStride + from, count);
    }
  }

  private static void multiply(
      float[] p, int pOffset, float[] scale, float[] product, int offset, int count) {
    int i = 0;
    for (; i <= count - WIDTH; i += WIDTH) {
      floats(p, pOffset + i).mul(floats(scale, i)).intoArray(product, offset + i);
    }
    for (; i < count; i++) {
      product[offset + i] = p[pOffset + i] * scale[i];
    }
  }

  /** Four chains at once: one waits for each of its additions. */
  private static void addZeros(
      float[] p,
      int p0,
      int pStride,
      int last,
      float[] zero,
      int tokens,
      float[] zeroSums,
      int to,
      int groups) {
    int h1 = Math.min(1, last);
    int h2 = Math.min(2, last);
    int h3 = Math.min(3, last);
    float s0 = zeroSums[to];
    float s1 = zeroSums[to + h1 * groups];
    float s2 = zeroSums[to + h2 * groups];
    float s3 = zeroSums[to + h3 * groups];
    for (int t = 0; t < tokens; t++) {
      float z = zero[t];
      s0 = Math.fma(p[p0 + t], z, s0);
      s1 = Math.fma(p[p0 + h1 * pStride + t], z, s1);
      s2 = Math.fma(p[p0 + h2 * pStride + t], z, s2);
      s3 = Math.fma(p[p0 + h3 * pStride + t], z, s3);
    }
    zeroSums[to] = s0;
    zeroSums[to + h1 * groups] = s1;
    zeroSums[to + h2 * groups] = s2;
    zeroSums[to + h3 * groups] = s3;
  }

  private static void fp16FourHeads(
      float[] p,
      int p0,
      int pStride,
      int last,
      short[] values,
      int value,
      int valueStride,
      int tokens,
      float[] out,
      int to,
      int outStride) {
    int p1 = p0 + Math.min(1, last) * pStride;
    int p2 = p0 + Math.min(2, last) * pStride;
    int p3 = p0 + Math.min(3, last) * pStride;
    int to1 = to + Math.min(1, last) * outStride;
    int to2 = to + Math.min(2, last) * outStride;
    int to3 = to + Math.min(3, last) * outStride;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s0 = floats(out, to + lane);
      FloatVector s1 = floats(out, to1 + lane);
      FloatVector s2 = floats(out, to2 + lane);
      FloatVector s3 = floats(out, to3 + lane);
      int at = value + lane;
      for (int t = 0; t < tokens; t++) {
        FloatVector v = halves(values, at);
        s0 = broadcast(p[p0 + t]).fma(v, s0);
        s1 = broadcast(p[p1 + t]).fma(v, s1);
        s2 = broadcast(p[p2 + t]).fma(v, s2);
        s3 = broadcast(p[p3 + t]).fma(v, s3);
        at += valueStride;
      }
      s0.intoArray(out, to + lane);
      s1.intoArray(out, to1 + lane);
      s2.intoArray(out, to2 + lane);
      s3.intoArray(out, to3 + lane);
    }
  }

  private static void codedFourHeads(
      float[] factors,
      int f0,
      int factorStride,
      int last,
      int bits,
      int[] words,
      int word,
      int wordStride,
      int tokens,
      float[] out,
      int to,
      int outStride) {
    int f1 = f0 + Math.min(1, last) * factorStride;
    int f2 = f0 + Math.min(2, last) * factorStride;
    int f3 = f0 + Math.min(3, last) * factorStride;
    int to1 = to + Math.min(1, last) * outStride;
    int to2 = to + Math.min(2, last) * outStride;
    int to3 = to + Math.min(3, last) * outStride;
    int perWord = Integer.SIZE / bits;
    int mask = (1 << bits) - 1;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector s0 = floats(out, to + lane);
      FloatVector s1 = floats(out, to1 + lane);
      FloatVector s2 = floats(out, to2 + lane);
      FloatVector s3 = floats(out, to3 + lane);
      int at = word + lane;
      for (int first = 0; first < tokens; first += perWord) {
        IntVector w = IntVector.fromArray(INTS, words, at);
        int end = Math.min(tokens, first + perWord);
        for (int t = first; t < end; t++) {
          FloatVector code = codes(w, mask);
          s0 = broadcast(factors[f0 + t]).fma(code, s0);
          s1 = broadcast(factors[f1 + t]).fma(code, s1);
          s2 = broadcast(factors[f2 + t]).fma(code, s2);
          s3 = broadcast(factors[f3 + t]).fma(code, s3);
          w = w.lanewise(VectorOperators.LSHR, bits);
        }
        at += wordStride;
      }
      s0.intoArray(out, to + lane);
      s1.intoArray(out, to1 + lane);
      s2.intoArray(out, to2 + lane);
      s3.intoArray(out, to3 + lane);
    }
  }
}
