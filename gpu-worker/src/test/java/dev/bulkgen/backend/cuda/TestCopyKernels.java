package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TestCopyKernels {
  private static final int BLOCKS = 7;

  /** Every shape of block, at addresses that take 16-byte accesses and at others. */
  @ParameterizedTest
  @CsvSource({
    "4, 0, 0",
    "12, 0, 0",
    "16, 0, 0",
    "16, 4, 0",
    "20, 8, 8",
    "4092, 0, 12",
    "4096, 0, 0",
    "4100, 0, 0",
    "4112, 16, 4",
    "9220, 0, 0",
    "12288, 0, 0"
  })
  void testCopiesBlocksByIndex(int bytes, int sourceShift, int targetShift) {
    byte[] source = random(bytes * BLOCKS + sourceShift);
    byte[] target = random(bytes * BLOCKS + targetShift);
    int[] from = {6, 0, 3, 3};
    int[] to = {1, 5, 0, 6};
    byte[] expected = target.clone();
    for (int i = 0; i < from.length; i++) {
      int sourceAt = sourceShift + from[i] * bytes;
      System.arraycopy(source, sourceAt, expected, targetShift + to[i] * bytes, bytes);
    }
    try (RowDevice device = new RowDevice()) {
      DeviceMemory targets = device.upload("target", target);
      new CopyKernels(device.kernels())
          .copyBlocks(
              device.stream,
              new CopyKernels.Blocks(
                  targets.address() + targetShift, device.upload("to", to).address()),
              new CopyKernels.Blocks(
                  device.upload("source", source).address() + sourceShift,
                  device.upload("from", from).address()),
              bytes,
              from.length);
      assertArrayEquals(expected, device.arrays.bytes(targets));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {4, 28, 4128})
  void testGathersAndScattersWithoutSecondIndex(int bytes) {
    byte[] pages = random(bytes * BLOCKS);
    int[] index = {4, 1, 6};
    try (RowDevice device = new RowDevice()) {
      CopyKernels kernels = new CopyKernels(device.kernels());
      DeviceMemory indices = device.upload("index", index);
      DeviceMemory staging = device.fresh((long) bytes * index.length, "staging");
      CopyKernels.Blocks dense = new CopyKernels.Blocks(staging.address(), 0);
      DeviceMemory from = device.upload("pages", pages);
      CopyKernels.Blocks paged = new CopyKernels.Blocks(from.address(), indices.address());
      kernels.copyBlocks(device.stream, dense, paged, bytes, index.length);
      byte[] gathered = device.arrays.bytes(staging);
      for (int i = 0; i < index.length; i++) {
        assertArrayEquals(
            Arrays.copyOfRange(pages, index[i] * bytes, (index[i] + 1) * bytes),
            Arrays.copyOfRange(gathered, i * bytes, (i + 1) * bytes));
      }
      DeviceMemory back = device.upload("cleared", new byte[pages.length]);
      CopyKernels.Blocks returned = new CopyKernels.Blocks(back.address(), indices.address());
      kernels.copyBlocks(device.stream, returned, dense, bytes, index.length);
      byte[] expected = new byte[pages.length];
      for (int block : index) {
        System.arraycopy(pages, block * bytes, expected, block * bytes, bytes);
      }
      assertArrayEquals(expected, device.arrays.bytes(back));
    }
  }

  /** In several launches, with and without index. */
  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 7, 8})
  void testManyBlocks(int blocksAtOnce) {
    int[] source = new Random(1).ints(3 * BLOCKS).toArray();
    int[] reversed = {6, 5, 4, 3, 2, 1, 0};
    try (RowDevice device = new RowDevice()) {
      DeviceMemory target = device.fresh(4L * source.length, "target");
      new CopyKernels(device.kernels(), blocksAtOnce)
          .copyBlocks(
              device.stream,
              new CopyKernels.Blocks(target.address(), 0),
              new CopyKernels.Blocks(
                  device.upload("source", source).address(),
                  device.upload("reversed", reversed).address()),
              12,
              BLOCKS);
      int[] copied = device.arrays.ints(target);
      for (int i = 0; i < source.length; i++) {
        assertEquals(source[3 * reversed[i / 3] + i % 3], copied[i]);
      }
    }
  }

  @Test
  void testRefusesBytesThatAreNoWords() {
    try (RowDevice device = new RowDevice()) {
      CopyKernels kernels = new CopyKernels(device.kernels());
      DeviceMemory memory = device.fresh(64, "memory");
      CopyKernels.Blocks whole = new CopyKernels.Blocks(memory.address(), 0);
      CopyKernels.Blocks shifted = new CopyKernels.Blocks(memory.address() + 34, 0);
      for (Runnable call :
          new Runnable[] {
            () -> kernels.copyBlocks(device.stream, whole, whole, 6, 1),
            () -> kernels.copyBlocks(device.stream, whole, shifted, 8, 1)
          }) {
        BulkgenException error = assertThrows(BulkgenException.class, call::run);
        assertEquals(ErrorCode.INTERNAL, error.code());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 255, 256, 257, 1000})
  void testScatter(int count) {
    int[] table = new Random(2).ints(1500).toArray();
    int[] values = new Random(3).ints(count + 1).toArray();
    int[] indices = new int[count + 1];
    Arrays.setAll(indices, i -> i * 7 % 1500);
    int[] expected = table.clone();
    for (int i = 0; i < count; i++) {
      expected[indices[i]] = values[i];
    }
    try (RowDevice device = new RowDevice()) {
      DeviceMemory tables = device.upload("table", table);
      long at = device.upload("indices", indices).address();
      long from = device.upload("values", values).address();
      new CopyKernels(device.kernels()).scatter(device.stream, tables.address(), at, from, count);
      assertArrayEquals(expected, device.arrays.ints(tables));
    }
  }

  private static byte[] random(int bytes) {
    byte[] values = new byte[bytes];
    new Random(bytes).nextBytes(values);
    return values;
  }
}
