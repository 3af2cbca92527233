package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;

import dev.bulkgen.tensor.ExactMath;
import jdk.incubator.vector.FloatVector;

/** Norms, activations, softmax and other elementwise work; what a vector leaves over is scalar. */
final class VectorElements {
  // Elements that go through the steps of a function together.
  private static final int RUN = 256;

  private final float[] sums = new float[LANES];
  private final float[] powers = new float[RUN];

  /** {@link CpuKernels#rmsNorm}. */
  void rmsNorm(
      float[] x,
      int xOffset,
      int width,
      float[] weight,
      float epsilon,
      float[] out,
      int outOffset) {
    addSquares(x, xOffset, width, 0f, sums);
    float root = (float) Math.sqrt(VectorFold.fold(sums) / width + epsilon);
    int i = 0;
    for (; i <= width - WIDTH; i += WIDTH) {
      floats(x, xOffset + i).div(root).mul(floats(weight, i)).intoArray(out, outOffset + i);
    }
    for (; i < width; i++) {
      out[outOffset + i] = x[xOffset + i] / root * weight[i];
    }
  }

  /** {@link CpuKernels#layerNorm}. */
  void layerNorm(
      float[] x,
      int xOffset,
      int width,
      float[] weight,
      float[] bias,
      float epsilon,
      float[] out,
      int outOffset) {
    addUp(x, xOffset, width, sums);
    float mean = VectorFold.fold(sums) / width;
    addSquares(x, xOffset, width, mean, sums);
    float root = (float) Math.sqrt(VectorFold.fold(sums) / width + epsilon);
    int i = 0;
    for (; i <= width - WIDTH; i += WIDTH) {
      FloatVector normal = floats(x, xOffset + i).sub(mean).div(root);
      normal.fma(floats(weight, i), floats(bias, i)).intoArray(out, outOffset + i);
    }
    for (; i < width; i++) {
      float normal = (x[xOffset + i] - mean) / root;
      out[outOffset + i] = Math.fma(normal, weight[i], bias[i]);
    }
  }

  /** {@link CpuKernels#add}. */
  static void add(float[] x, int xOffset, float[] y, int yOffset, int count) {
    int i = 0;
    for (; i <= count - WIDTH; i += WIDTH) {
      floats(x, xOffset + i).add(floats(y, yOffset + i)).intoArray(x, xOffset + i);
    }
    for (; i < count; i++) {
      x[xOffset + i] += y[yOffset + i];
    }
  }

  /** {@link CpuKernels#siluMultiply}. */
  static void siluMultiply(float[] gate, float[] up, int offset, int count) {
    int i = offset;
    for (; i <= offset + count - WIDTH; i += WIDTH) {
      VectorFunctions.silu(floats(gate, i)).mul(floats(up, i)).intoArray(gate, i);
    }
    for (; i < offset + count; i++) {
      gate[i] = ExactMath.silu(gate[i]) * up[i];
    }
  }

  /** {@link CpuKernels#gelu}. */
  void gelu(float[] x, int offset, int count) {
    int whole = count / WIDTH * WIDTH;
    for (int done = 0; done < whole; done += RUN) {
      int at = offset + done;
      int run = Math.min(RUN, whole - done);
      geluExponents(x, at, run, powers);
      exp(powers, run);
      geluFromPowers(x, at, run, powers);
    }
    for (int i = offset + whole; i < offset + count; i++) {
      x[i] = ExactMath.gelu(x[i]);
    }
  }

  /** {@link CpuKernels#geluTanh}. */
  void geluTanh(float[] x, int offset, int count) {
    int whole = count / WIDTH * WIDTH;
    for (int done = 0; done < whole; done += RUN) {
      int at = offset + done;
      int run = Math.min(RUN, whole - done);
      geluTanhExponents(x, at, run, powers);
      exp(powers, run);
      geluTanhFromPowers(x, at, run, powers);
    }
    for (int i = offset + whole; i < offset + count; i++) {
      x[i] = ExactMath.geluTanh(x[i]);
    }
  }

  private static void geluExponents(float[] x, int at, int count, float[] powers) {
    for (int i = 0; i < count; i += WIDTH) {
      VectorFunctions.geluExponent(floats(x, at + i)).intoArray(powers, i);
    }
  }

  private static void geluFromPowers(float[] x, int at, int count, float[] powers) {
    for (int i = 0; i < count; i += WIDTH) {
      VectorFunctions.gelu(floats(x, at + i), floats(powers, i)).intoArray(x, at + i);
    }
  }

  private static void geluTanhExponents(float[] x, int at, int count, float[] powers) {
    for (int i = 0; i < count; i += WIDTH) {
      VectorFunctions.geluTanhExponent(floats(x, at + i)).intoArray(powers, i);
    }
  }

  private static void geluTanhFromPowers(float[] x, int at, int count, float[] powers) {
    for (int i = 0; i < count; i += WIDTH) {
      VectorFunctions.geluTanh(floats(x, at + i), floats(powers, i)).intoArray(x, at + i);
    }
  }

  private static void exp(float[] x, int count) {
    for (int i = 0; i < count; i += WIDTH) {
      VectorFunctions.exp(floats(x, i)).intoArray(x, i);
    }
  }

  /** {@link CpuKernels#expAndSum}. */
  float expAndSum(float[] x, int offset, int count, float max) {
    int i = 0;
    for (; i <= count - WIDTH; i += WIDTH) {
      VectorFunctions.exp(floats(x, offset + i).sub(max)).intoArray(x, offset + i);
    }
    for (; i < count; i++) {
      x[offset + i] = ExactMath.exp(x[offset + i] - max);
    }
    addUp(x, offset, count, sums);
    return VectorFold.fold(sums);
  }

  /** {@link CpuKernels#max}. */
  float max(float[] x, int offset, int count) {
    FloatVector largest = broadcast(Float.NEGATIVE_INFINITY);
    int i = 0;
    for (; i <= count - WIDTH; i += WIDTH) {
      largest = largest.max(floats(x, offset + i));
    }
    largest.intoArray(sums, 0);
    float max = sums[0];
    for (int lane = 1; lane < WIDTH; lane++) {
      max = Math.max(max, sums[lane]);
    }
    for (; i < count; i++) {
      max = Math.max(max, x[offset + i]);
    }
    return max;
  }

  private static void addUp(float[] x, int offset, int count, float[] sums) {
    int whole = count / LANES * LANES;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector sum = broadcast(0f);
      for (int i = lane; i < whole; i += LANES) {
        sum = sum.add(floats(x, offset + i));
      }
      sum.intoArray(sums, lane);
    }
    for (int i = whole; i < count; i++) {
      sums[i - whole] += x[offset + i];
    }
  }

  private static void addSquares(float[] x, int offset, int count, float mean, float[] sums) {
    int whole = count / LANES * LANES;
    for (int lane = 0; lane < LANES; lane += WIDTH) {
      FloatVector sum = broadcast(0f);
      for (int i = lane; i < whole; i += LANES) {
        FloatVector distance = floats(x, offset + i).sub(mean);
        sum = distance.fma(distance, sum);
      }
      sum.intoArray(sums, lane);
    }
    for (int i = whole; i < count; i++) {
      float distance = x[offset + i] - mean;
      sums[i - whole] = Math.fma(distance, distance, sums[i - whole]);
    }
  }
}
