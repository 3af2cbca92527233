package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelWeights.Linear;
import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestWeightUploader {
  private final Random random = new Random(11);
  private CudaContext context;
  private DeviceArrays arrays;

  @BeforeEach
  void open() {
    context = EmulatedDevice.open();
    arrays = new DeviceArrays(context);
  }

  @AfterEach
  void close() {
    if (context != null) {
      context.close();
    }
  }

  // Rows and columns round the tile of depth, in buffers of one row, of a few, and of all.
  @ParameterizedTest
  @CsvSource({
    "BF16, 1, 1, 1",
    "BF16, 5, 63, 1",
    "BF16, 5, 64, 300",
    "BF16, 9, 65, 600",
    "BF16, 40, 200, 99999",
    "F16, 3, 64, 1",
    "F16, 9, 130, 1000",
    "F16, 64, 96, 99999",
    "F32, 1, 1, 1",
    "F32, 7, 63, 1",
    "F32, 9, 128, 1100",
    "F32, 33, 65, 99999"
  })
  void testRowsOfOneMatrix(DType type, int rows, int cols, int bufferBytes) {
    HostTensor tensor = tensor("w", type, rows, cols);
    try (WeightUploader uploader = new WeightUploader(context, null, bufferBytes);
        DeviceWeight weight = uploader.upload("w", WeightMatrix.whole(tensor))) {
      uploader.finish();
      assertEquals(rows, weight.shape().rows());
      assertEquals((cols + 63) / 64 * 64, weight.shape().depth());
      assertEquals(type == DType.F32 ? 2 : 1, weight.shape().pieces());
      assertEquals(type == DType.F16 ? DType.F16 : DType.BF16, weight.shape().type());
      assertNull(weight.bias());
      List<float[]> expected = new ArrayList<>();
      for (int row = 0; row < rows; row++) {
        expected.add(row(WeightMatrix.whole(tensor), row));
      }
      assertRows(expected, weight);
      assertEquals(weight.numbers().bytes(), weight.shape().bytes());
      assertEquals(rows, weight.matrix().columns());
    }
  }

  @Test
  void testFloat32HasNearlyItsPrecisionInTwoPieces() {
    float[] values = {1f / 3, -1e-30f, 3e38f, Float.MAX_VALUE, 0f, -0f, Float.NaN, 1e-42f};
    HostTensor tensor = new HostTensor("w", DType.F32, 1, values.length, values);
    try (WeightUploader uploader = new WeightUploader(context);
        DeviceWeight weight = uploader.upload("w", WeightMatrix.whole(tensor))) {
      uploader.finish();
      short[] numbers = arrays.shorts(weight.numbers());
      for (int i = 0; i < values.length; i++) {
        float number = BFloat16.toFloat(numbers[i]);
        float rest = BFloat16.toFloat(numbers[64 + i]);
        assertEquals(BFloat16.toFloat(BFloat16.fromFloat(values[i])), number);
        if (Float.isInfinite(number) || Float.isNaN(number)) {
          assertEquals(0f, rest);
        } else {
          assertEquals(values[i], number + rest, Math.abs(values[i]) * 0x1p-16f + 1e-40f);
        }
      }
    }
  }

  @Test
  void testQueryKeyValueInOneMatrix() {
    // As some checkpoints keep them: all three in one tensor, by groups of heads.
    HostTensor fused = tensor("qkv", DType.BF16, 2 * (4 + 2 + 2), 70);
    WeightMatrix query = new WeightMatrix(fused, 0, 4, 8, 2, 70);
    WeightMatrix key = new WeightMatrix(fused, 4, 2, 8, 2, 70);
    WeightMatrix value = new WeightMatrix(fused, 6, 2, 8, 2, 70);
    try (WeightUploader uploader = new WeightUploader(context, null, 3 * 128 * 2);
        DeviceWeight weight =
            uploader.upload(
                "qkv",
                new Linear(query, new float[] {1, 2, 3, 4, 5, 6, 7, 8}),
                new Linear(key, null),
                new Linear(value, new float[] {9, 10, 11, 12}))) {
      uploader.finish();
      List<float[]> expected = new ArrayList<>();
      for (WeightMatrix part : List.of(query, key, value)) {
        for (int row = 0; row < part.rows(); row++) {
          expected.add(row(part, row));
        }
      }
      assertRows(expected, weight);
      assertArrayEquals(
          new float[] {1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 9, 10, 11, 12},
          arrays.floats(weight.bias()));
    }
  }

  @ParameterizedTest
  @CsvSource({"1, 10", "7, 64", "8, 64", "9, 65", "24, 128", "31, 20"})
  void testGateAndUpAlternate(int rows, int cols) {
    WeightMatrix gate = WeightMatrix.whole(tensor("gate", DType.F16, rows, cols));
    WeightMatrix up = WeightMatrix.whole(tensor("up", DType.F16, rows, cols));
    try (WeightUploader uploader = new WeightUploader(context, null, 1000);
        DeviceWeight weight = uploader.uploadGateUp("gate and up", gate, up)) {
      uploader.finish();
      int padded = (rows + 7) / 8 * 8;
      assertEquals(2 * padded, weight.shape().rows());
      List<float[]> expected = new ArrayList<>();
      for (int row = 0; row < 2 * padded; row++) {
        int source = 8 * (row / 16) + row % 8;
        WeightMatrix part = row % 16 < 8 ? gate : up;
        expected.add(source < rows ? row(part, source) : new float[cols]);
      }
      assertRows(expected, weight);
    }
  }

  @Test
  void testPartsOfDifferentTypesStayExact() {
    WeightMatrix gate = WeightMatrix.whole(tensor("gate", DType.F16, 8, 10));
    WeightMatrix up = WeightMatrix.whole(tensor("up", DType.BF16, 8, 10));
    try (WeightUploader uploader = new WeightUploader(context);
        DeviceWeight weight = uploader.uploadGateUp("gate and up", gate, up)) {
      uploader.finish();
      assertEquals(2, weight.shape().pieces());
      List<float[]> expected = new ArrayList<>();
      for (int row = 0; row < 16; row++) {
        expected.add(row(row < 8 ? gate : up, row % 8));
      }
      assertRows(expected, weight);
    }
  }

  @Test
  void testAllMatricesInOneType() {
    WeightMatrix half = WeightMatrix.whole(tensor("half", DType.F16, 8, 10));
    WeightMatrix single = WeightMatrix.whole(tensor("single", DType.F32, 8, 10));
    assertEquals(DType.F16, MatrixShape.commonType(half, half));
    assertEquals(DType.F32, MatrixShape.commonType(half, single));
    try (WeightUploader uploader = new WeightUploader(context, DType.F32);
        DeviceWeight weight = uploader.upload("w", half)) {
      uploader.finish();
      assertEquals(2, weight.shape().pieces());
      List<float[]> expected = new ArrayList<>();
      for (int row = 0; row < 8; row++) {
        expected.add(row(half, row));
      }
      assertRows(expected, weight);
    }
    try (WeightUploader uploader = new WeightUploader(context, DType.F16)) {
      assertThrows(IllegalArgumentException.class, () -> uploader.upload("w", single));
    }
  }

  @Test
  void testMatricesFollowEachOtherThroughTheSameBuffers() {
    try (WeightUploader uploader = new WeightUploader(context, null, 4096)) {
      List<HostTensor> tensors = new ArrayList<>();
      List<DeviceWeight> weights = new ArrayList<>();
      for (int i = 1; i <= 12; i++) {
        // Some rows are longer than the buffers, which grow then.
        HostTensor tensor = tensor("w" + i, DType.BF16, 13 - i, 300 * i);
        tensors.add(tensor);
        weights.add(uploader.upload("w" + i, WeightMatrix.whole(tensor)));
      }
      uploader.finish();
      for (int i = 0; i < tensors.size(); i++) {
        WeightMatrix source = WeightMatrix.whole(tensors.get(i));
        List<float[]> expected = new ArrayList<>();
        for (int row = 0; row < source.rows(); row++) {
          expected.add(row(source, row));
        }
        assertRows(expected, weights.get(i));
        weights.get(i).close();
      }
    }
  }

  @Test
  void testUnlikePartsAreRefused() {
    WeightMatrix wide = WeightMatrix.whole(tensor("wide", DType.BF16, 8, 12));
    WeightMatrix narrow = WeightMatrix.whole(tensor("narrow", DType.BF16, 8, 10));
    WeightMatrix flat = WeightMatrix.whole(tensor("flat", DType.BF16, 7, 12));
    try (WeightUploader uploader = new WeightUploader(context)) {
      assertThrows(IllegalArgumentException.class, () -> uploader.uploadGateUp("w", wide, narrow));
      assertThrows(IllegalArgumentException.class, () -> uploader.uploadGateUp("w", wide, flat));
    }
  }

  @ParameterizedTest
  @CsvSource({"1", "2"})
  void testFullDeviceLeavesNothingBehind(int failing) {
    try (CudaContext full = EmulatedDevice.open(memory -> memory.failing(failing));
        WeightUploader uploader = new WeightUploader(full)) {
      Linear linear = new Linear(WeightMatrix.whole(tensor("w", DType.BF16, 2, 2)), new float[2]);
      BulkgenException error =
          assertThrows(BulkgenException.class, () -> uploader.upload("layer 3 down", linear));
      assertEquals(ErrorCode.DEVICE_OUT_OF_MEMORY, error.code());
      assertTrue(error.getMessage().contains("layer 3 down"), error.getMessage());
    }
  }

  private HostTensor tensor(String name, DType type, int rows, int cols) {
    float[] values = new float[rows * cols];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return new HostTensor(name, type, rows, cols, values);
  }

  private static float[] row(WeightMatrix weight, int row) {
    float[] values = new float[weight.cols()];
    weight.tensor().readFloats(weight.element(row), values, 0, values.length);
    return values;
  }

  /** Sums of the pieces against the rows: exact for 16-bit sources; padding is zero. */
  private void assertRows(List<float[]> expected, DeviceWeight weight) {
    MatrixShape shape = weight.shape();
    short[] numbers = arrays.shorts(weight.numbers());
    assertEquals(expected.size(), shape.rows());
    for (int row = 0; row < shape.rows(); row++) {
      for (int i = 0; i < shape.depth(); i++) {
        int at = row * shape.depth() + i;
        float wanted = i < expected.get(row).length ? expected.get(row)[i] : 0;
        float found = toFloat(shape, numbers[at]);
        if (shape.pieces() == 2) {
          found += toFloat(shape, numbers[(int) shape.pieceStride() + at]);
        }
        assertEquals(wanted, found, Math.abs(wanted) * (shape.pieces() == 2 ? 0x1p-16f : 0));
      }
    }
  }

  private static float toFloat(MatrixShape shape, short bits) {
    return shape.type() == DType.F16 ? Float16.toFloat(bits) : BFloat16.toFloat(bits);
  }
}
