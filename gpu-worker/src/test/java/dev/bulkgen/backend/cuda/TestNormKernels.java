package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.NormKind;
import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class TestNormKernels {
  private static final float EPSILON = 1e-5f;
  private static final short UNTOUCHED = 0x4321;

  /** One norm of some rows; the result of {@link #run} is [planes][rows][outStride]. */
  private record Case(
      NormKind kind, DType type, int pieces, int width, int stride, int outStride, int shift) {

    short[] run(RowDevice device, float[] x, int[] index, float[] bias, int[] broken) {
      int rows = index.length;
      short[] before = new short[pieces * rows * outStride + 8];
      Arrays.fill(before, UNTOUCHED);
      DeviceMemory out = device.upload("out", before);
      DeviceMemory flags = device.upload("broken", broken);
      float[] shifted = new float[x.length + shift];
      System.arraycopy(x, 0, shifted, shift, x.length);
      long first = device.upload("x", shifted).address() + 4L * shift;
      new NormKernels(device.kernels(), kind, width, EPSILON)
          .norm(
              device.stream,
              new NormKernels.Rows(
                  rows, first, stride, device.upload("index", index).address(), flags.address()),
              new NormKernels.Weights(
                  device.upload("weight", weight(width)).address(),
                  bias == null ? 0 : device.upload("bias", bias).address()),
              Pieces.of(out.address(), type, pieces, rows, outStride));
      System.arraycopy(device.arrays.ints(flags), 0, broken, 0, broken.length);
      return device.arrays.shorts(out);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "RMS, BF16, 1, 1, 1, 1, 0",
    "RMS, BF16, 2, 3, 4, 64, 0",
    "RMS, F16, 2, 4, 4, 5, 0",
    "RMS, F16, 1, 63, 64, 64, 0",
    "RMS, BF16, 2, 65, 68, 66, 0",
    "RMS, BF16, 2, 1023, 1024, 1024, 1",
    "RMS, F16, 2, 1025, 1025, 1088, 0",
    "RMS, BF16, 1, 4096, 4096, 4096, 0",
    "RMS, F16, 2, 5121, 5124, 5184, 0",
    "LAYER, BF16, 1, 1, 1, 3, 0",
    "LAYER, F16, 2, 2, 2, 2, 1",
    "LAYER, BF16, 2, 5, 8, 64, 0",
    "LAYER, F16, 2, 71, 72, 128, 0",
    "LAYER, BF16, 2, 1021, 1021, 1023, 0",
    "LAYER, F16, 1, 4544, 4544, 4544, 0"
  })
  void testEqualsTheDefinition(
      NormKind kind, DType type, int pieces, int width, int stride, int outStride, int shift) {
    Case norm = new Case(kind, type, pieces, width, stride, outStride, shift);
    float[] x = rows(4, stride, width);
    int[] index = {3, 1, 1};
    float[] bias = kind == NormKind.LAYER ? rows(1, width, width) : null;
    try (RowDevice device = new RowDevice()) {
      short[] out = norm.run(device, x, index, bias, new int[4]);
      int plane = index.length * outStride;
      for (int row = 0; row < index.length; row++) {
        double[] expected = definition(kind, x, index[row] * stride, width, bias);
        for (int i = 0; i < outStride; i++) {
          float found = 0;
          for (int p = 0; p < pieces; p++) {
            found += number(type, out[p * plane + row * outStride + i]);
          }
          assertClose(i < width ? expected[i] : 0, found, type, pieces);
        }
      }
      for (int i = pieces * plane; i < out.length; i++) {
        assertEquals(UNTOUCHED, out[i], "beyond the last row");
      }
    }
  }

  /** P1: alone or among others, aligned or not, indexed or not: the same bits. */
  @ParameterizedTest
  @EnumSource(NormKind.class)
  void testBitsDependOnTheRowAlone(NormKind kind) {
    int width = 1031;
    float[] x = rows(3, 1032, width);
    try (RowDevice device = new RowDevice()) {
      short[] all =
          new Case(kind, DType.BF16, 2, width, 1032, 1088, 0)
              .run(device, x, new int[] {0, 1, 2}, null, new int[3]);
      float[] middle = Arrays.copyOfRange(x, 1032, 1032 + width);
      short[] alone =
          new Case(kind, DType.BF16, 2, width, width, 1033, 3)
              .run(device, middle, new int[] {0}, null, new int[1]);
      for (int p = 0; p < 2; p++) {
        assertArrayEquals(
            Arrays.copyOfRange(all, (3 * p + 1) * 1088, (3 * p + 1) * 1088 + width),
            Arrays.copyOfRange(alone, p * 1033, p * 1033 + width));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(NormKind.class)
  void testReportsRowsThatAreNotFinite(NormKind kind) {
    int width = 517;
    int stride = 520;
    float[] x = new float[6 * stride];
    Arrays.fill(x, Float.NaN); // what lies between the rows is nobody's
    for (int row = 0; row < 6; row++) {
      System.arraycopy(rows(1, width, width), 0, x, row * stride, width);
    }
    x[stride + width - 1] = Float.NaN;
    x[2 * stride] = Float.POSITIVE_INFINITY;
    x[3 * stride + 300] = Float.NEGATIVE_INFINITY;
    x[5 * stride + 7] = Float.NaN; // not asked for
    int[] broken = {0, 0, 0, 0, 0, 0};
    try (RowDevice device = new RowDevice()) {
      new Case(kind, DType.BF16, 1, width, stride, 520, 0)
          .run(device, x, new int[] {4, 3, 2, 1, 0}, null, broken);
      assertArrayEquals(new int[] {0, 1, 1, 1, 0, 0}, broken);
    }
  }

  @Test
  void testRefusesRowsThatAreTooShort() {
    try (RowDevice device = new RowDevice()) {
      NormKernels kernels = new NormKernels(device.kernels(), NormKind.RMS, 64, EPSILON);
      NormKernels.Weights weights = new NormKernels.Weights(0, 0);
      Pieces narrow = Pieces.of(0, DType.BF16, 1, 1, 63);
      Pieces wide = Pieces.of(0, DType.BF16, 1, 1, 64);
      for (Runnable call :
          new Runnable[] {
            () -> kernels.norm(device.stream, new NormKernels.Rows(1, 0, 63, 0, 0), weights, wide),
            () -> kernels.norm(device.stream, new NormKernels.Rows(1, 0, 64, 0, 0), weights, narrow)
          }) {
        assertEquals(ErrorCode.INTERNAL, assertThrows(BulkgenException.class, call::run).code());
      }
    }
  }

  private static void assertClose(double expected, float found, DType type, int pieces) {
    // Half a unit in the last place of one or two pieces, and float's own error in the sums; a
    // second piece of float16 ends at the smallest float16.
    int bits = (type == DType.BF16 ? 8 : 11) * pieces;
    double bound = Math.abs(expected) * (Math.scalb(1.0, -bits) + 1e-6) + 1e-6;
    assertTrue(Math.abs(expected - found) <= bound, expected + " expected, found " + found);
  }

  private static float number(DType type, short bits) {
    return type == DType.BF16 ? BFloat16.toFloat(bits) : Float16.toFloat(bits);
  }

  private static double[] definition(
      NormKind kind, float[] x, int offset, int width, float[] bias) {
    double mean = 0;
    for (int i = 0; i < width && kind == NormKind.LAYER; i++) {
      mean += (double) x[offset + i] / width;
    }
    double variance = 0;
    for (int i = 0; i < width; i++) {
      variance += (x[offset + i] - mean) * (x[offset + i] - mean) / width;
    }
    float[] weight = weight(width);
    double[] out = new double[width];
    for (int i = 0; i < width; i++) {
      double normal = (x[offset + i] - mean) / Math.sqrt(variance + EPSILON);
      out[i] = normal * weight[i] + (bias == null ? 0 : bias[i]);
    }
    return out;
  }

  private static float[] weight(int width) {
    float[] weight = new float[width];
    for (int i = 0; i < width; i++) {
      weight[i] = 0.5f + i % 7 * 0.25f;
    }
    return weight;
  }

  private static float[] rows(int rows, int stride, int width) {
    Random random = new Random(31L * rows + width);
    float[] x = new float[rows * stride];
    Arrays.fill(x, Float.NaN);
    for (int row = 0; row < rows; row++) {
      for (int i = 0; i < width; i++) {
        x[row * stride + i] = (float) (random.nextGaussian() * (row + 1) + 0.3);
      }
    }
    return x;
  }
}
