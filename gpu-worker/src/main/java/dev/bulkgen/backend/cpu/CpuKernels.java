package dev.bulkgen.backend.cpu;

import dev.bulkgen.model.WeightMatrix;

/**
 * The arithmetic of the CPU backends, with the order of every sum fixed, so that the scalar twin
 * (the truth) and the vectorized twin give the same bits at any vector width (P1, DESIGN.md §5.6):
 *
 * <ul>
 *   <li><b>interleaved</b>: element k of a sum goes into partial sum k mod 16 by a fused
 *       multiply-add; the 16 fold as i + (i+8), then i + (i+4), i + (i+2), i + (i+1);
 *   <li><b>sequential</b>: one fused multiply-add after the other, each output element on its own,
 *       so that lanes run over outputs.
 * </ul>
 *
 * An instance belongs to one thread: it owns its staging buffers. Rows of activations are {@code
 * stride} floats apart and zero from their width up to the next multiple of 16. All arrays are
 * row-major; panels are blocks of 16 columns: [columns/16][rows][16], zero-padded. {@code toString}
 * names the arithmetic for logs, such as {@code vector, 512 bit}.
 */
interface CpuKernels {
  /** Lanes of a panel and of an interleaved sum. */
  int LANES = 16;

  /** {@link #stageRows} fills rows up to a multiple of this number, at the most. */
  int STAGED_ROWS = 32;

  /**
   * Lays out rows of x for {@link #matmul} of kernels of the same kind, from {@link
   * LineAligned#FIRST} on; only they know how. Columns of different vectors may be laid out by
   * different threads.
   *
   * @param depth columns, a multiple of 16
   * @param from first vector of 16 columns
   * @param to the vector after the last one
   * @param staged has room for {@code depth} floats for each row, the rows rounded up to {@link
   *     #STAGED_ROWS}
   */
  void stageRows(
      float[] x, // [rows][xStride] from xOffset on
      int xOffset,
      int xStride,
      int rows,
      int depth,
      int from,
      int to,
      float[] staged);

  /**
   * {@code out[m][n] = bias[n] + Σ_k x[m][k] · w[n][k]} for n in [from, to), interleaved over k;
   * bias (added last) may be null. The weight is read once for all rows.
   */
  void matmul(
      float[] staged, // by stageRows, as deep as the weight's columns rounded up to 16
      int rows,
      WeightMatrix weight,
      int from,
      int to,
      float[] bias,
      float[] out, // [rows][outStride]
      int outStride);

  /**
   * {@code out[m][c] = Σ_k a[m][k] · b[k][c]}, sequential over k in [0, depth): b in panels. Used
   * for q·Kᵀ (b = K [headDim][tokens]) and p·V (b = V [tokens][headDim]) of the prefill.
   *
   * @param panelStride floats from one panel of b to the next, at least depth · 16
   * @param out [rows][outStride], written for panels · 16 columns
   */
  void panelMultiply(
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
      int outStride);

  /** As {@link #panelMultiply}, but the sums go on from what {@code out} holds. */
  void panelAccumulate(
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
      int outStride);

  /**
   * Widens finite float16 [rows][width] to panels [ceil(width/16)][rows][16], zero-padded.
   *
   * @param panelStride floats from one panel to the next, at least rows · 16
   */
  void widenPanels(
      short[] halves,
      int offset,
      int rows,
      int width,
      float[] panels,
      int panelOffset,
      int panelStride);

  /** {@code out = x / sqrt(mean(x²) + epsilon) · weight}; the sum interleaved. */
  void rmsNorm(
      float[] x, int xOffset, int width, float[] weight, float epsilon, float[] out, int outOffset);

  /** {@code out = (x − mean) / sqrt(variance + epsilon) · weight + bias}; sums interleaved. */
  void layerNorm(
      float[] x,
      int xOffset,
      int width,
      float[] weight,
      float[] bias,
      float epsilon,
      float[] out,
      int outOffset);

  /** {@code x += y}, elementwise. */
  void add(float[] x, int xOffset, float[] y, int yOffset, int count);

  /** {@code gate = gate / (1 + exp(−gate)) · up}, elementwise, with ExactMath's exp. */
  void siluMultiply(float[] gate, float[] up, int offset, int count);

  /** {@code x = gelu(x)} with the exact error function, elementwise. */
  void gelu(float[] x, int offset, int count);

  /** {@code x = gelu(x)} in its tanh form, elementwise. */
  void geluTanh(float[] x, int offset, int count);

  /**
   * {@code x[i] = exp(x[i] − max)} for {@code count} elements; the largest is given. Returns the
   * sum, interleaved.
   */
  float expAndSum(float[] x, int offset, int count, float max);

  /** The largest of {@code count} elements; −∞ if there are none. */
  float max(float[] x, int offset, int count);

  /**
   * Scores of fp16 keys: {@code scores[h][t] = Σ_d q[h][d] · k[t][d]}, sequential over d.
   *
   * @param q [heads][headDim], already scaled by 1/√headDim
   * @param keys tiles [tiles][headDim][16] of float16
   * @param scores [heads][scoreStride], written from scoreOffset for tiles · 16 tokens
   */
  void fp16Scores(
      float[] q,
      int heads,
      int headDim,
      short[] keys,
      int keyOffset,
      int tiles,
      float[] scores,
      int scoreOffset,
      int scoreStride);

  /**
   * Scores of coded keys of one group: with q̃_d = q_d · scale_d and β = Σ_d q_d · zero_d
   * (interleaved), {@code score[t] = β + Σ_d q̃_d · code[t][d]}, sequential over d starting from β.
   *
   * @param words [ceil(headDim/P)][group] of CacheLayout, P = 32 / bits
   * @param scales [headDim] float16, zeros [headDim] float16
   */
  void codedScores(
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
      int scoreStride);

  /**
   * Adds fp16 values: {@code out[h][d] += p[h][t] · v[t][d]}, sequential over t in [0, tokens).
   *
   * @param p [heads][pStride] from pOffset on
   * @param values [tokens][headDim] float16
   * @param out [heads][outStride]
   */
  void fp16Values(
      float[] p,
      int pOffset,
      int pStride,
      int heads,
      int headDim,
      short[] values,
      int valueOffset,
      int tokens,
      float[] out,
      int outStride);

  /**
   * Adds coded values of tokens [0, tokens) of one page part: {@code out[h][d] += (p[h][t] ·
   * scale[t][g]) · code[t][d]} and {@code zeroSums[h][g] += p[h][t] · zero[t][g]}, both sequential
   * over t, g the group of channel d. The caller adds zeroSums to every channel of its group at the
   * end of the split.
   *
   * @param words [ceil(tokens/P)][headDim], P = 32 / bits; words may hold codes beyond {@code
   *     tokens}
   * @param scales [valueGroups][scaleStride] float16, zeros likewise
   * @param zeroSums [heads][valueGroups]
   */
  void codedValues(
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
      float[] zeroSums);
}
