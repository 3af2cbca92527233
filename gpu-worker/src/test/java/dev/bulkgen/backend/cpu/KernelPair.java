package dev.bulkgen.backend.cpu;

import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.Float16;
import java.util.Arrays;
import java.util.Random;

/** The scalar and the vectorized kernels, side by side, and data that is hard on both. */
final class KernelPair {
  private static final float[] SPECIAL = {
    0f, -0f, Float.MIN_VALUE, -0x1p-140f, 0x1p-126f, 1e-30f, -1e-30f, 3e15f, -2e15f, 1f, -1f
  };
  private static final float[] EXTREME = {
    Float.NaN,
    Float.POSITIVE_INFINITY,
    Float.NEGATIVE_INFINITY,
    88.7f,
    89.5f,
    -87.4f,
    -103.9f,
    -104.1f,
    1e30f,
    -1e30f,
    0.625f,
    Math.nextDown(0.625f),
    4f,
    -4f
  };

  /** A call of one kernel that changes {@code out}. */
  interface Call {
    void on(CpuKernels kernels, float[] out);
  }

  final Random random;
  private final long seed;
  private final CpuKernels scalar = new ScalarKernels();
  private final CpuKernels vectorized = new VectorKernels();
  private int compared;

  KernelPair(long seed) {
    this.seed = seed;
    this.random = new Random(seed);
  }

  /** Elements compared so far. */
  int compared() {
    return compared;
  }

  /**
   * Runs the call on both twins, each with its own copy of {@code out}, and compares all bits. NaN
   * equals NaN whatever its payload, which neither Java nor the processor fixes.
   */
  void compare(String what, float[] out, Call call) {
    float[] expected = out.clone();
    float[] actual = out.clone();
    call.on(scalar, expected);
    call.on(vectorized, actual);
    for (int i = 0; i < out.length; i++) {
      if (Float.floatToIntBits(expected[i]) != Float.floatToIntBits(actual[i])) {
        throw new AssertionError(
            String.format(
                "%s, seed %d, width %d: element %d is %s (%08x), not %s (%08x)",
                what,
                seed,
                VectorLanes.WIDTH,
                i,
                actual[i],
                Float.floatToRawIntBits(actual[i]),
                expected[i],
                Float.floatToRawIntBits(expected[i])));
      }
    }
    compared += out.length;
  }

  /** Lays the rows out, in two parts that meet anywhere, and multiplies them. */
  void product(
      CpuKernels kernels,
      float[] x,
      int xOffset,
      int xStride,
      int rows,
      WeightMatrix weight,
      int from,
      int to,
      float[] bias,
      float[] out,
      int outStride) {
    int vectors = (weight.cols() + CpuKernels.LANES - 1) / CpuKernels.LANES;
    int depth = vectors * CpuKernels.LANES;
    int cut = random.nextInt(vectors + 1);
    float[] staged = stagedRows(rows, depth);
    kernels.stageRows(x, xOffset, xStride, rows, depth, cut, vectors, staged);
    kernels.stageRows(x, xOffset, xStride, rows, depth, 0, cut, staged);
    kernels.matmul(staged, rows, weight, from, to, bias, out, outStride);
  }

  /** Room that nobody has cleared. */
  static float[] stagedRows(int rows, int depth) {
    int staged = CpuKernels.STAGED_ROWS;
    float[] room = LineAligned.floats((rows + staged - 1) / staged * staged * depth);
    Arrays.fill(room, Float.NaN);
    return room;
  }

  /** Mostly ordinary numbers, some zeros, subnormal and large ones. */
  float value() {
    return random.nextInt(20) == 0
        ? SPECIAL[random.nextInt(SPECIAL.length)]
        : (float) random.nextGaussian();
  }

  void fill(float[] target, int offset, int count) {
    for (int i = 0; i < count; i++) {
      target[offset + i] = value();
    }
  }

  float[] floats(int count) {
    float[] all = new float[count];
    fill(all, 0, count);
    return all;
  }

  /** Arguments for exponentials: over the whole range, and beyond it. */
  float[] exponents(int count) {
    float[] all = new float[count];
    for (int i = 0; i < count; i++) {
      all[i] =
          switch (random.nextInt(12)) {
            case 0 -> EXTREME[random.nextInt(EXTREME.length)];
            case 1, 2, 3 -> (random.nextFloat() - 0.5f) * 220;
            case 4 -> value();
            default -> (float) random.nextGaussian() * 3;
          };
    }
    return all;
  }

  /** Finite halves, subnormal and largest ones among them. */
  short[] halves(int count) {
    short[] all = new short[count];
    for (int i = 0; i < count; i++) {
      all[i] =
          random.nextInt(10) == 0
              ? Float16.fromFloat(Float16.toFloat((short) random.nextInt(0x7c00)))
              : Float16.fromFloat((float) random.nextGaussian());
    }
    return all;
  }
}
