package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;
import static dev.bulkgen.backend.cpu.VectorLanes.halves;

import jdk.incubator.vector.FloatVector;

/**
 * Weighted sums of values of a decode step: lanes run over channels, and the heads share the work
 * of widening and unpacking as in {@link VectorScores}. Channels beyond the last multiple of 16 are
 * copied to rows of their own, so that no load leaves its array.
 */
final class VectorValues {
  private static final int HEADS = 4;

  private float[] factors = new float[0]; // [heads][groups][tokens]
  private float[] scale = new float[0]; // [tokens]
  private float[] zero = new float[0]; // [tokens]
  private float[] panels = new float[0]; // [group / 16][tokens][16]
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
    reserve(heads, groups, group, tokens);
    foldScales(
        p,
        pOffset,
        pStride,
        heads,
        groups,
        scales,
        scaleOffset,
        zeros,
        zeroOffset,
        scaleStride,
        tokens,
        zeroSums);
    for (int g = 0; g < groups; g++) {
      int first = g * group;
      int channels = Math.min(group, headDim - first);
      int whole = channels / LANES * LANES;
      int factor = g * tokens;
      addWhole(
          heads,
          words,
          wordOffset + first,
          headDim,
          bits,
          whole / LANES,
          tokens,
          factor,
          groups * tokens,
          out,
          first,
          outStride);
      if (whole < channels) {
        int tail = channels - whole;
        unpackTail(words, wordOffset + first + whole, headDim, bits, tokens, tail);
        takeTail(out, first + whole, tail, heads, outStride);
        VectorPanels.accumulate(
            factors,
            factor,
            groups * tokens,
            heads,
            panels,
            0,
            tokens * LANES,
            1,
            tokens,
            tailOut,
            0,
            LANES);
        giveTail(out, first + whole, tail, heads, outStride);
      }
    }
  }

  /** Folds the scales into the probabilities and sums up what the zeros add. */
  private void foldScales(
      float[] p,
      int pOffset,
      int pStride,
      int heads,
      int groups,
      short[] scales,
      int scaleOffset,
      short[] zeros,
      int zeroOffset,
      int scaleStride,
      int tokens,
      float[] zeroSums) {
    for (int g = 0; g < groups; g++) {
      VectorCodes.widen(scales, scaleOffset + g * scaleStride, scale, tokens);
      VectorCodes.widen(zeros, zeroOffset + g * scaleStride, zero, tokens);
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
  }

  /** Adds {@code count} vectors of sixteen channels, from word {@code word} on. */
  private void addWhole(
      int heads,
      int[] words,
      int word,
      int wordStride,
      int bits,
      int count,
      int tokens,
      int factor,
      int factorStride,
      float[] out,
      int to,
      int outStride) {
    if (heads <= VectorCodedPanels.ROWS) {
      VectorCodedPanels.accumulate(
          factors,
          factor,
          factorStride,
          heads,
          words,
          word,
          wordStride,
          bits,
          count,
          tokens,
          out,
          to,
          outStride);
      return;
    }
    for (int i = 0; i < count; i++) {
      int panel = i * LANES * tokens;
      VectorCodes.unpack(words, word + i * LANES, wordStride, bits, tokens, panels, panel);
    }
    VectorPanels.accumulate(
        factors,
        factor,
        factorStride,
        heads,
        panels,
        0,
        tokens * LANES,
        count,
        tokens,
        out,
        to,
        outStride);
  }

  private void unpackTail(
      int[] words, int wordOffset, int headDim, int bits, int tokens, int channels) {
    int perWord = Integer.SIZE / bits;
    for (int row = 0; row * perWord < tokens; row++) {
      System.arraycopy(words, wordOffset + row * headDim, tailWords, row * LANES, channels);
    }
    VectorCodes.unpack(tailWords, 0, LANES, bits, tokens, panels, 0);
  }

  private void reserve(int heads, int groups, int group, int tokens) {
    if (panels.length < group * tokens) {
      panels = new float[group * tokens];
    }
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
}
