package dev.bulkgen.backend.cpu;

import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.ExactMath;
import dev.bulkgen.tensor.Float16;
import java.util.Arrays;

/** The truth: the contract of {@link CpuKernels} in plain loops. */
final class ScalarKernels implements CpuKernels {
  private final float[] sums = new float[LANES];
  private float[] weightRow = new float[0];
  private float[] scaled = new float[0];

  @Override
  public void stageRows(
      float[] x, int xOffset, int xStride, int rows, int depth, int from, int to, float[] staged) {
    for (int m = 0; m < rows; m++) {
      int at = xOffset + m * xStride + from * LANES;
      int target = LineAligned.FIRST + m * depth + from * LANES;
      System.arraycopy(x, at, staged, target, (to - from) * LANES);
    }
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
    int depth = weight.cols();
    int padded = (depth + LANES - 1) / LANES * LANES;
    if (weightRow.length < padded) {
      weightRow = new float[padded];
    }
    // The zeros of the padding take part, as they do in vectors: 0 + −0 is not −0.
    Arrays.fill(weightRow, depth, padded, 0f);
    for (int n = from; n < to; n++) {
      weight.tensor().readFloats(weight.element(n), weightRow, 0, depth);
      for (int m = 0; m < rows; m++) {
        int at = LineAligned.FIRST + m * padded;
        Arrays.fill(sums, 0f);
        for (int k = 0; k < padded; k++) {
          sums[k % LANES] = Math.fma(staged[at + k], weightRow[k], sums[k % LANES]);
        }
        float sum = fold(sums);
        out[m * outStride + n] = bias == null ? sum : sum + bias[n];
      }
    }
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
    for (int m = 0; m < rows; m++) {
      int row = outOffset + m * outStride;
      Arrays.fill(out, row, row + panels * LANES, 0f);
    }
    panelAccumulate(
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
    for (int m = 0; m < rows; m++) {
      for (int c = 0; c < panels * LANES; c++) {
        int column = bOffset + c / LANES * panelStride + c % LANES;
        float sum = out[outOffset + m * outStride + c];
        for (int k = 0; k < depth; k++) {
          sum = Math.fma(a[aOffset + m * aStride + k], b[column + k * LANES], sum);
        }
        out[outOffset + m * outStride + c] = sum;
      }
    }
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
    for (int c = 0; c < (width + LANES - 1) / LANES * LANES; c++) {
      int column = panelOffset + c / LANES * panelStride + c % LANES;
      for (int m = 0; m < rows; m++) {
        panels[column + m * LANES] =
            c < width ? Float16.toFloat(halves[offset + m * width + c]) : 0f;
      }
    }
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
    Arrays.fill(sums, 0f);
    for (int i = 0; i < width; i++) {
      float value = x[xOffset + i];
      sums[i % LANES] = Math.fma(value, value, sums[i % LANES]);
    }
    float root = (float) Math.sqrt(fold(sums) / width + epsilon);
    for (int i = 0; i < width; i++) {
      out[outOffset + i] = x[xOffset + i] / root * weight[i];
    }
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
    Arrays.fill(sums, 0f);
    for (int i = 0; i < width; i++) {
      sums[i % LANES] += x[xOffset + i];
    }
    float mean = fold(sums) / width;
    Arrays.fill(sums, 0f);
    for (int i = 0; i < width; i++) {
      float distance = x[xOffset + i] - mean;
      sums[i % LANES] = Math.fma(distance, distance, sums[i % LANES]);
    }
    float root = (float) Math.sqrt(fold(sums) / width + epsilon);
    for (int i = 0; i < width; i++) {
      float normal = (x[xOffset + i] - mean) / root;
      out[outOffset + i] = Math.fma(normal, weight[i], bias[i]);
    }
  }

  @Override
  public void add(float[] x, int xOffset, float[] y, int yOffset, int count) {
    for (int i = 0; i < count; i++) {
      x[xOffset + i] += y[yOffset + i];
    }
  }

  @Override
  public void siluMultiply(float[] gate, float[] up, int offset, int count) {
    for (int i = offset; i < offset + count; i++) {
      gate[i] = ExactMath.silu(gate[i]) * up[i];
    }
  }

  @Override
  public void gelu(float[] x, int offset, int count) {
    for (int i = offset; i < offset + count; i++) {
      x[i] = ExactMath.gelu(x[i]);
    }
  }

  @Override
  public void geluTanh(float[] x, int offset, int count) {
    for (int i = offset; i < offset + count; i++) {
      x[i] = ExactMath.geluTanh(x[i]);
    }
  }

  @Override
  public float expAndSum(float[] x, int offset, int count, float max) {
    Arrays.fill(sums, 0f);
    for (int i = 0; i < count; i++) {
      float power = ExactMath.exp(x[offset + i] - max);
      x[offset + i] = power;
      sums[i % LANES] += power;
    }
    return fold(sums);
  }

  @Override
  public float max(float[] x, int offset, int count) {
    float max = Float.NEGATIVE_INFINITY;
    for (int i = offset; i < offset + count; i++) {
      max = Math.max(max, x[i]);
    }
    return max;
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
    for (int t = 0; t < tiles * LANES; t++) {
      int column = keyOffset + t / LANES * headDim * LANES + t % LANES;
      for (int h = 0; h < heads; h++) {
        float score = 0;
        for (int d = 0; d < headDim; d++) {
          float key = Float16.toFloat(keys[column + d * LANES]);
          score = Math.fma(q[h * headDim + d], key, score);
        }
        scores[h * scoreStride + scoreOffset + t] = score;
      }
    }
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
    if (scaled.length < headDim) {
      scaled = new float[headDim];
    }
    for (int h = 0; h < heads; h++) {
      Arrays.fill(sums, 0f);
      for (int d = 0; d < headDim; d++) {
        float query = q[h * headDim + d];
        scaled[d] = query * Float16.toFloat(scales[scaleOffset + d]);
        float zero = Float16.toFloat(zeros[zeroOffset + d]);
        sums[d % LANES] = Math.fma(query, zero, sums[d % LANES]);
      }
      float base = fold(sums);
      for (int t = 0; t < group; t++) {
        float score = base;
        for (int d = 0; d < headDim; d++) {
          int word = words[wordOffset + d * bits / Integer.SIZE * group + t];
          score = Math.fma(scaled[d], code(word, d, bits), score);
        }
        scores[h * scoreStride + scoreOffset + t] = score;
      }
    }
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
    for (int h = 0; h < heads; h++) {
      for (int t = 0; t < tokens; t++) {
        float weight = p[pOffset + h * pStride + t];
        for (int d = 0; d < headDim; d++) {
          float value = Float16.toFloat(values[valueOffset + t * headDim + d]);
          out[h * outStride + d] = Math.fma(weight, value, out[h * outStride + d]);
        }
      }
    }
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
    int groups = (headDim + group - 1) / group;
    for (int h = 0; h < heads; h++) {
      for (int t = 0; t < tokens; t++) {
        float weight = p[pOffset + h * pStride + t];
        int wordRow = wordOffset + t * bits / Integer.SIZE * headDim;
        for (int g = 0; g < groups; g++) {
          int at = g * scaleStride + t;
          float scaledWeight = weight * Float16.toFloat(scales[scaleOffset + at]);
          float zero = Float16.toFloat(zeros[zeroOffset + at]);
          zeroSums[h * groups + g] = Math.fma(weight, zero, zeroSums[h * groups + g]);
          for (int d = g * group; d < Math.min(headDim, (g + 1) * group); d++) {
            float code = code(words[wordRow + d], t, bits);
            out[h * outStride + d] = Math.fma(scaledWeight, code, out[h * outStride + d]);
          }
        }
      }
    }
  }

  @Override
  public String toString() {
    return "scalar";
  }

  /** Code number {@code i} of a run of words, of which {@code word} holds the one asked for. */
  private static float code(int word, int i, int bits) {
    return (word >>> i * bits % Integer.SIZE) & ((1 << bits) - 1);
  }

  private static float fold(float[] sums) {
    for (int width = LANES / 2; width > 0; width /= 2) {
      for (int i = 0; i < width; i++) {
        sums[i] += sums[i + width];
      }
    }
    return sums[0];
  }
}
