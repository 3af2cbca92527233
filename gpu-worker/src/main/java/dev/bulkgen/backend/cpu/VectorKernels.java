package dev.bulkgen.backend.cpu;

import dev.bulkgen.model.WeightMatrix;

/**
 * The vectorized twin of {@link ScalarKernels}: the same bits, by the Vector API, at the width that
 * {@link VectorLanes} chose. Loading this class fails with a {@link LinkageError} where the module
 * {@code jdk.incubator.vector} is not readable.
 */
final class VectorKernels implements CpuKernels {
  private final VectorMatmul matmul = new VectorMatmul();
  private final VectorElements elements = new VectorElements();
  private final VectorScores scores = new VectorScores();
  private final VectorValues values = new VectorValues();

  @Override
  public void stageRows(
      float[] x, int xOffset, int xStride, int rows, int depth, int from, int to, float[] staged) {
    VectorMatmul.stageRows(x, xOffset, xStride, rows, depth, from, to, staged);
  }

  @Override
  public void matmul(
      float[] staged,
      int rows,
      WeightMatrix weight,
      int from,
      int to,
      float[] bias,
      float[] out,
      int outStride) {
    matmul.multiply(staged, rows, weight, from, to, bias, out, outStride);
  }

  @Override
  public void panelMultiply(
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
    VectorPanels.multiply(
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

  @Override
  public void panelAccumulate(
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
    VectorPanels.accumulate(
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

  @Override
  public void widenPanels(
      short[] halves,
      int offset,
      int rows,
      int width,
      float[] panels,
      int panelOffset,
      int panelStride) {
    VectorHalfPanels.widen(halves, offset, rows, width, panels, panelOffset, panelStride);
  }

  @Override
  public void rmsNorm(
      float[] x,
      int xOffset,
      int width,
      float[] weight,
      float epsilon,
      float[] out,
      int outOffset) {
    elements.rmsNorm(x, xOffset, width, weight, epsilon, out, outOffset);
  }

  @Override
  public void layerNorm(
      float[] x,
      int xOffset,
      int width,
      float[] weight,
      float[] bias,
      float epsilon,
      float[] out,
      int outOffset) {
    elements.layerNorm(x, xOffset, width, weight, bias, epsilon, out, outOffset);
  }

  @Override
  public void add(float[] x, int xOffset, float[] y, int yOffset, int count) {
    VectorElements.add(x, xOffset, y, yOffset, count);
  }

  @Override
  public void siluMultiply(float[] gate, float[] up, int offset, int count) {
    VectorElements.siluMultiply(gate, up, offset, count);
  }

  @Override
  public void gelu(float[] x, int offset, int count) {
    elements.gelu(x, offset, count);
  }

  @Override
  public void geluTanh(float[] x, int offset, int count) {
    elements.geluTanh(x, offset, count);
  }

  @Override
  public float expAndSum(float[] x, int offset, int count, float max) {
    return elements.expAndSum(x, offset, count, max);
  }

  @Override
  public float max(float[] x, int offset, int count) {
    return elements.max(x, offset, count);
  }

  @Override
  public void fp16Scores(
      float[] q,
      int heads,
      int headDim,
      short[] keys,
      int keyOffset,
      int tiles,
      float[] scores,
      int scoreOffset,
      int scoreStride) {
    VectorScores.fp16(q, heads, headDim, keys, keyOffset, tiles, scores, scoreOffset, scoreStride);
  }

  @Override
  public void codedScores(
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
    this.scores.coded(
        q,
        heads,
        headDim,
        bits,
        group,
        words,
        wordOffset,
        scales,
        scaleOffset,
        zeros,
        zeroOffset,
        scores,
        scoreOffset,
        scoreStride);
  }

  @Override
  public void fp16Values(
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
    this.values.fp16(
        p, pOffset, pStride, heads, headDim, values, valueOffset, tokens, out, outStride);
  }

  @Override
  public void codedValues(
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
    values.coded(
        p,
        pOffset,
        pStride,
        heads,
        headDim,
        bits,
        group,
        words,
        wordOffset,
        scales,
        scaleOffset,
        zeros,
        zeroOffset,
        scaleStride,
        tokens,
        out,
        outStride,
        zeroSums);
  }

  @Override
  public String toString() {
    return "vector, " + VectorLanes.WIDTH * Float.SIZE + " bit";
  }
}
