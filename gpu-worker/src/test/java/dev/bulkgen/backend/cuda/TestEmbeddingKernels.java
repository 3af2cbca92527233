package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestEmbeddingKernels {
  private static final int VOCABULARY = 9;
  private static final int[] TOKENS = {8, 0, 3, -1, 3};

  @ParameterizedTest
  @CsvSource({
    "BF16, 1, 1, 1, 1",
    "BF16, 2, 7, 8, 9",
    "BF16, 1, 8, 8, 8",
    "BF16, 2, 64, 64, 64",
    "BF16, 1, 65, 72, 68",
    "BF16, 1, 65, 65, 65",
    "BF16, 2, 2055, 2056, 2056",
    "F16, 1, 63, 64, 64",
    "F16, 1, 129, 131, 132",
    "F16, 2, 4104, 4104, 4107"
  })
  void testGathersExactly(DType type, int pieces, int width, int stride, int outStride) {
    Random random = new Random(width);
    float[] numbers = new float[pieces * VOCABULARY * stride];
    short[] table = new short[numbers.length];
    for (int i = 0; i < numbers.length; i++) {
      float number = (float) random.nextGaussian() * (i < VOCABULARY * stride ? 1 : 0x1p-9f);
      table[i] = type == DType.BF16 ? BFloat16.fromFloat(number) : Float16.fromFloat(number);
      numbers[i] = type == DType.BF16 ? BFloat16.toFloat(table[i]) : Float16.toFloat(table[i]);
    }
    float[] before = new float[TOKENS.length * outStride];
    Arrays.fill(before, 77);
    float[] expected = before.clone();
    for (int row = 0; row < TOKENS.length; row++) {
      for (int i = 0; i < width; i++) {
        float sum = 0;
        for (int p = 0; p < pieces && TOKENS[row] >= 0; p++) {
          sum += numbers[(p * VOCABULARY + TOKENS[row]) * stride + i];
        }
        expected[row * outStride + i] = sum;
      }
    }
    try (RowDevice device = new RowDevice()) {
      DeviceMemory out = device.upload("out", before);
      long tables = device.upload("table", table).address();
      new EmbeddingKernels(
              device.kernels(), Pieces.of(tables, type, pieces, VOCABULARY, stride), width)
          .embed(
              device.stream,
              TOKENS.length,
              EmbeddingKernels.Tokens.known(device.upload("tokens", TOKENS).address()),
              out.address(),
              outStride);
      assertArrayEquals(expected, device.arrays.floats(out));
    }
  }

  @Test
  void testTakesTheTokensThatWereDrawn() {
    short one = BFloat16.fromFloat(1);
    short two = BFloat16.fromFloat(2);
    try (RowDevice device = new RowDevice()) {
      DeviceMemory out = device.upload("out", new float[4]);
      long table = device.upload("table", one, two).address();
      new EmbeddingKernels(device.kernels(), Pieces.of(table, DType.BF16, 1, 2, 1), 1)
          .embed(
              device.stream,
              4,
              new EmbeddingKernels.Tokens(
                  device.upload("tokens", -2, 0, -1, -2).address(),
                  device.upload("slots", 2, 2, 0, 1).address(),
                  device.upload("drawn", 7, -1, 1).address()),
              out.address(),
              1);
      assertArrayEquals(new float[] {2, 1, 0, Float.NaN}, device.arrays.floats(out));
    }
  }

  @Test
  void testRefusesRowsThatAreTooShort() {
    try (RowDevice device = new RowDevice()) {
      Pieces table = Pieces.of(0, DType.BF16, 1, 2, 8);
      assertInternal(() -> new EmbeddingKernels(device.kernels(), table, 9));
      EmbeddingKernels kernels = new EmbeddingKernels(device.kernels(), table, 8);
      assertInternal(() -> kernels.embed(device.stream, 1, EmbeddingKernels.Tokens.known(0), 0, 7));
    }
  }

  private static void assertInternal(Runnable call) {
    assertEquals(ErrorCode.INTERNAL, assertThrows(BulkgenException.class, call::run).code());
  }
}
