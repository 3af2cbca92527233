package dev.bulkgen.backend.cuda;

import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.model.RopeConfig;
import dev.bulkgen.model.RopeFrequencies;
import java.nio.FloatBuffer;
import java.util.Arrays;
import java.util.Random;

/** Projected rows at given positions, and what should become of them, in double precision. */
final class RotaryCase {
  static final float EPSILON = 1e-5f;
  static final int NO_ROW = -1;

  final AttentionShape shape;
  final int[] positions; // [rows]
  final int qkvStride;
  final float[] qkv; // [rows][qkvStride]
  final float[] cosSin; // [positions][headDim]
  final float[] queryNorm; // [headDim], null without
  final float[] keyNorm;

  /**
   * @param padding numbers between rows that nothing should read
   */
  RotaryCase(AttentionShape shape, int[] positions, int padding, RopeConfig rope) {
    this.shape = shape;
    this.positions = positions;
    Random random = new Random(shape.headDim());
    int width = shape.queryWidth() + 2 * shape.kvWidth();
    qkvStride = width + padding;
    qkv = new float[positions.length * qkvStride];
    for (int i = 0; i < qkv.length; i++) {
      qkv[i] = i % qkvStride < width ? (float) random.nextGaussian() * 3 : Float.NaN;
    }
    queryNorm = shape.qkNorm() ? weights(random) : null;
    keyNorm = shape.qkNorm() ? weights(random) : null;
    int last = Arrays.stream(positions).max().orElse(0);
    cosSin = new float[(int) RotaryKernels.cosSinCount(shape.headDim(), last + 1)];
    RotaryKernels.fillCosSin(
        RopeFrequencies.of(rope, shape.headDim()),
        shape.headDim(),
        0,
        last + 1,
        FloatBuffer.wrap(cosSin));
  }

  private float[] weights(Random random) {
    float[] weights = new float[shape.headDim()];
    for (int i = 0; i < weights.length; i++) {
      weights[i] = 1 + random.nextFloat();
    }
    return weights;
  }

  int rows() {
    return positions.length;
  }

  int heads() {
    return shape.queryHeads() + 2 * shape.kvHeads();
  }

  /** [headDim] of head {@code head} of a row, queries first, then K, then V; queries scaled. */
  double[] expected(int row, int head) {
    int headDim = shape.headDim();
    double[] x = new double[headDim];
    for (int i = 0; i < headDim; i++) {
      x[i] = qkv[row * qkvStride + head * headDim + i];
    }
    boolean isQuery = head < shape.queryHeads();
    if (head >= shape.queryHeads() + shape.kvHeads()) {
      return x;
    }
    if (shape.qkNorm()) {
      normalize(x, isQuery ? queryNorm : keyNorm);
    }
    rotate(x, positions[row] * headDim);
    if (isQuery) {
      for (int i = 0; i < headDim; i++) {
        x[i] /= Math.log(2) * Math.sqrt(headDim);
      }
    }
    return x;
  }

  private static void normalize(double[] x, float[] weight) {
    double root = Math.sqrt(Arrays.stream(x).map(y -> y * y).average().orElse(0) + EPSILON);
    for (int i = 0; i < x.length; i++) {
      x[i] = x[i] / root * weight[i];
    }
  }

  private void rotate(double[] x, int table) {
    int half = x.length / 2;
    for (int i = 0; i < half; i++) {
      double cos = cosSin[table + i];
      double sin = cosSin[table + half + i];
      double a = x[i];
      double b = x[half + i];
      x[i] = a * cos - b * sin;
      x[half + i] = b * cos + a * sin;
    }
  }
}
