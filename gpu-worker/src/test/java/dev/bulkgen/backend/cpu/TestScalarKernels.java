package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bulkgen.cache.CacheCodec;
import dev.bulkgen.tensor.Float16;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The truth itself, compared with the same formulas in double precision. */
class TestScalarKernels {
  private final SplittableRandom random = new SplittableRandom(11);
  private final CpuKernels kernels = new ScalarKernels();

  @ParameterizedTest
  @CsvSource({"2,16,8", "2,32,64", "4,48,80", "4,128,20", "2,32,24"})
  void codedScoresEqualDecodedKeys(int bits, int group, int headDim) {
    int heads = 3;
    int perWord = 32 / bits;
    float[] q = floats(heads * headDim);
    short[] scales = halves(headDim);
    short[] zeros = halves(headDim);
    int[] words = ints((headDim + perWord - 1) / perWord * group);
    float[] scores = new float[heads * (group + 5)];
    kernels.codedScores(
        q, heads, headDim, bits, group, words, 0, scales, 0, zeros, 0, scores, 5, group + 5);
    for (int h = 0; h < heads; h++) {
      for (int t = 0; t < group; t++) {
        double expected = 0;
        for (int d = 0; d < headDim; d++) {
          int code = (words[d / perWord * group + t] >>> (d % perWord * bits)) & ((1 << bits) - 1);
          expected += (double) q[h * headDim + d] * CacheCodec.decode(code, scales[d], zeros[d]);
        }
        assertEquals(expected, scores[h * (group + 5) + 5 + t], 2e-4, "head " + h + " token " + t);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"2,16,8,16", "2,32,64,31", "4,48,80,7", "4,128,20,33", "2,32,40,1"})
  void codedValuesEqualDecodedValues(int bits, int group, int headDim, int tokens) {
    int heads = 2;
    int perWord = 32 / bits;
    int groups = (headDim + group - 1) / group;
    int stride = tokens + 3;
    float[] p = floats(heads * stride);
    short[] scales = halves(groups * stride);
    short[] zeros = halves(groups * stride);
    int[] words = ints((tokens + perWord - 1) / perWord * headDim);
    float[] out = new float[heads * headDim];
    float[] zeroSums = new float[heads * groups];
    kernels.codedValues(
        p, 0, stride, heads, headDim, bits, group, words, 0, scales, 0, zeros, 0, stride, tokens,
        out, headDim, zeroSums);
    for (int h = 0; h < heads; h++) {
      for (int d = 0; d < headDim; d++) {
        double expected = 0;
        for (int t = 0; t < tokens; t++) {
          int code =
              (words[t / perWord * headDim + d] >>> (t % perWord * bits)) & ((1 << bits) - 1);
          int at = d / group * stride + t;
          expected += (double) p[h * stride + t] * CacheCodec.decode(code, scales[at], zeros[at]);
        }
        float actual = out[h * headDim + d] + zeroSums[h * groups + d / group];
        assertEquals(expected, actual, 2e-4, "head " + h + " channel " + d);
      }
    }
  }

  @Test
  void fp16ScoresAndValuesEqualTheirSums() {
    int heads = 3;
    int headDim = 20;
    short[] keys = halves(2 * headDim * 16);
    short[] values = halves(32 * headDim);
    float[] q = floats(heads * headDim);
    float[] scores = new float[heads * 32];
    float[] out = new float[heads * headDim];
    kernels.fp16Scores(q, heads, headDim, keys, 0, 2, scores, 0, 32);
    kernels.fp16Values(scores, 0, 32, heads, headDim, values, 0, 32, out, headDim);
    for (int h = 0; h < heads; h++) {
      double[] expected = new double[headDim];
      for (int t = 0; t < 32; t++) {
        double score = 0;
        for (int d = 0; d < headDim; d++) {
          float key = Float16.toFloat(keys[(t / 16 * headDim + d) * 16 + t % 16]);
          score += (double) q[h * headDim + d] * key;
        }
        assertEquals(score, scores[h * 32 + t], 1e-5);
        for (int d = 0; d < headDim; d++) {
          expected[d] += score * Float16.toFloat(values[t * headDim + d]);
        }
      }
      for (int d = 0; d < headDim; d++) {
        assertEquals(expected[d], out[h * headDim + d], 1e-4);
      }
    }
  }

  @Test
  void panelsMultiplyLikeMatrices() {
    int depth = 7;
    float[] a = floats(3 * depth);
    float[] b = floats(2 * (depth + 1) * 16);
    float[] out = new float[3 * 40];
    kernels.panelMultiply(a, 0, depth, 3, b, 0, (depth + 1) * 16, 2, depth, out, 4, 40);
    for (int m = 0; m < 3; m++) {
      for (int c = 0; c < 32; c++) {
        double expected = 0;
        for (int k = 0; k < depth; k++) {
          expected += (double) a[m * depth + k] * b[c / 16 * (depth + 1) * 16 + k * 16 + c % 16];
        }
        assertEquals(expected, out[m * 40 + 4 + c], 1e-5);
      }
    }
    float[] twice = out.clone();
    kernels.panelAccumulate(a, 0, depth, 3, b, 0, (depth + 1) * 16, 2, depth, twice, 4, 40);
    for (int i = 0; i < out.length; i++) {
      assertEquals(2 * out[i], twice[i], 1e-5);
    }
  }

  @Test
  void widensRowsToPanels() {
    short[] halves = halves(3 * 20);
    float[] panels = floats(2 * 64);
    kernels.widenPanels(halves, 0, 3, 20, panels, 0, 64);
    for (int m = 0; m < 3; m++) {
      for (int c = 0; c < 32; c++) {
        float expected = c < 20 ? Float16.toFloat(halves[m * 20 + c]) : 0f;
        assertEquals(expected, panels[c / 16 * 64 + m * 16 + c % 16]);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"1", "8", "16", "17", "80", "4096"})
  void normsEqualTheirDefinitions(int width) {
    float[] x = floats(width);
    float[] weight = floats(width);
    float[] bias = floats(width);
    double mean = 0;
    double squares = 0;
    for (float value : x) {
      mean += value / (double) width;
      squares += (double) value * value / width;
    }
    float[] rms = new float[width];
    float[] layer = new float[width];
    kernels.rmsNorm(x, 0, width, weight, 1e-5f, rms, 0);
    kernels.layerNorm(x, 0, width, weight, bias, 1e-5f, layer, 0);
    double deviation = Math.sqrt(squares - mean * mean + 1e-5);
    for (int i = 0; i < width; i++) {
      assertEquals(x[i] / Math.sqrt(squares + 1e-5) * weight[i], rms[i], 1e-5);
      assertEquals((x[i] - mean) / deviation * weight[i] + bias[i], layer[i], 1e-4);
    }
  }

  @Test
  void softmaxParts() {
    float[] x = {1, 3, Float.NEGATIVE_INFINITY, -2};
    assertEquals(3f, kernels.max(x, 0, 4));
    assertEquals(Float.NEGATIVE_INFINITY, kernels.max(x, 0, 0));
    float sum = kernels.expAndSum(x, 0, 4, 3f);
    assertEquals(Math.exp(-2) + 1 + Math.exp(-5), sum, 1e-6);
    assertEquals(1f, x[1]);
    assertEquals(0f, x[2]);
  }

  private float[] floats(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) random.nextDouble(-1, 1);
    }
    return values;
  }

  private short[] halves(int count) {
    short[] values = new short[count];
    for (int i = 0; i < count; i++) {
      values[i] = Float16.fromFloat((float) random.nextDouble(-1, 1));
    }
    return values;
  }

  private int[] ints(int count) {
    return random.ints(count).toArray();
  }
}
