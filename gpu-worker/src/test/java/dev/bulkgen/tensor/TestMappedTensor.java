package dev.bulkgen.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestMappedTensor {
  @TempDir Path folder;

  private MappedTensor every16BitPattern(DType dtype) throws IOException {
    ByteBuffer all = ByteBuffer.allocate(2 * 65536).order(ByteOrder.LITTLE_ENDIAN);
    for (int bits = 0; bits < 65536; bits++) {
      all.putShort((short) bits);
    }
    MappedFile file = MappedFile.open(Files.write(folder.resolve("all"), all.array()), 1 << 12);
    return new MappedTensor(file, "all", dtype, new long[] {256, 256}, 0);
  }

  @Test
  void widensEveryBFloat16() throws IOException {
    float[] floats = every16BitPattern(DType.BF16).toFloats();
    for (int bits = 0; bits < 65536; bits++) {
      assertEquals(
          Integer.toHexString(bits << 16),
          Integer.toHexString(Float.floatToRawIntBits(floats[bits])));
    }
  }

  @Test
  void widensEveryFloat16() throws IOException {
    float[] floats = every16BitPattern(DType.F16).toFloats();
    for (int bits = 0; bits < 65536; bits++) {
      int exponent = (bits >> 10) & 31;
      double fraction = (bits & 1023) / 1024.0;
      double magnitude =
          exponent == 31
              ? (fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN)
              : exponent == 0 ? fraction * 0x1p-14 : (1 + fraction) * Math.pow(2, exponent - 15);
      assertEquals((float) (bits < 32768 ? magnitude : -magnitude), floats[bits], "half " + bits);
    }
  }

  @Test
  void refusesOtherTypesAndRuns() throws IOException {
    MappedTensor tensor = every16BitPattern(DType.BF16);
    assertThrows(
        IndexOutOfBoundsException.class, () -> tensor.readFloats(65535, new float[2], 0, 2));
    assertThrows(IndexOutOfBoundsException.class, () -> tensor.readShorts(-1, new short[2], 0, 2));
    assertThrows(IllegalArgumentException.class, () -> tensor.readInts(0, new int[1], 0, 1));
    assertThrows(
        IllegalArgumentException.class,
        () -> new MappedTensor(tensor.file(), "t", DType.F32, new long[] {256, 129}, 0));
    MappedTensor integers = new MappedTensor(tensor.file(), "t", DType.I32, new long[] {2}, 2);
    assertThrows(IllegalArgumentException.class, () -> integers.readFloats(0, new float[1], 0, 1));
    int[] values = new int[2];
    integers.readInts(0, values, 0, 2);
    assertArrayEquals(new int[] {0x00020001, 0x00040003}, values);
  }
}
