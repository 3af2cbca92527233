package dev.bulkgen.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TestMappedFile {
  private static final int SIZE = 203;

  @TempDir Path folder;

  private byte[] content;

  private Path randomFile(int size) throws IOException {
    content = new byte[size];
    new SplittableRandom(3).nextBytes(content);
    return Files.write(folder.resolve("data"), content);
  }

  @ParameterizedTest
  @ValueSource(longs = {8, 16, 64, 128, 256})
  void readsEveryRunAtEveryOffsetAcrossPieces(long pieceBytes) throws IOException {
    MappedFile file = MappedFile.open(randomFile(SIZE), pieceBytes);
    ByteBuffer expected = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
    for (int offset = 0; offset <= SIZE; offset++) {
      for (int count : new int[] {0, 1, 2, 3, 7, 8, 9, 31, 50}) {
        if (offset + count <= SIZE) {
          byte[] bytes = new byte[count + 2];
          file.readBytes(offset, bytes, 1, count);
          for (int i = 0; i < count; i++) {
            assertEquals(content[offset + i], bytes[1 + i]);
          }
          assertEquals(0, bytes[0] | bytes[count + 1], "written outside the run");
        }
        if (offset + count * 2 <= SIZE) {
          short[] shorts = new short[count + 2];
          file.readShorts(offset, shorts, 1, count);
          for (int i = 0; i < count; i++) {
            assertEquals(expected.getShort(offset + 2 * i), shorts[1 + i]);
          }
          assertEquals(0, shorts[0] | shorts[count + 1], "written outside the run");
        }
        if (offset + count * 4 <= SIZE) {
          float[] floats = new float[count + 2];
          int[] ints = new int[count + 2];
          file.readFloats(offset, floats, 1, count);
          file.readInts(offset, ints, 1, count);
          for (int i = 0; i < count; i++) {
            assertEquals(expected.getInt(offset + 4 * i), ints[1 + i]);
            assertEquals(expected.getFloat(offset + 4 * i), floats[1 + i]);
          }
        }
      }
      if (offset + 8 <= SIZE) {
        assertEquals(expected.getLong(offset), file.readLong(offset));
      }
    }
  }

  @Test
  void refusesRunsThatLeaveTheFile() throws IOException {
    MappedFile file = MappedFile.open(randomFile(SIZE), 16);
    short[] target = new short[200];
    assertThrows(IndexOutOfBoundsException.class, () -> file.readShorts(-1, target, 0, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> file.readShorts(SIZE - 1, target, 0, 1));
    assertThrows(IndexOutOfBoundsException.class, () -> file.readShorts(0, target, 0, 102));
    assertThrows(IndexOutOfBoundsException.class, () -> file.readShorts(0, target, 199, 2));
    assertThrows(IndexOutOfBoundsException.class, () -> file.readShorts(0, target, 0, -1));
    assertThrows(
        IndexOutOfBoundsException.class,
        () -> file.readFloats(Long.MAX_VALUE, new float[4], 0, Integer.MAX_VALUE));
    assertThrows(IndexOutOfBoundsException.class, () -> file.readByte(SIZE));
  }

  @Test
  void mapsAnEmptyFileAndNamesAMissingOne() throws IOException {
    MappedFile empty = MappedFile.open(Files.write(folder.resolve("empty"), new byte[0]));
    assertEquals(0, empty.size());
    empty.readBytes(0, new byte[0], 0, 0);
    Path missing = folder.resolve("missing");
    BulkgenException e = assertThrows(BulkgenException.class, () -> MappedFile.open(missing));
    assertEquals(ErrorCode.STORAGE_FAILED, e.code());
    assertTrue(e.getMessage().contains(missing.toString()), e.getMessage());
  }

  @Test
  void readsAtTheEndOfATensorLargerThanOneMapping() throws IOException {
    Path large = folder.resolve("large");
    long rows = 1_400_000;
    long columns = 1024;
    long offset = 24;
    long bytes = offset + rows * columns * 2;
    assertTrue(bytes > (5L << 29), "2.5 GiB and more");
    try (RandomAccessFile sparse = new RandomAccessFile(large.toFile(), "rw")) {
      sparse.setLength(bytes);
      sparse.seek(bytes - 4);
      sparse.write(new byte[] {(byte) 0x80, 0x3f, 0x20, (byte) 0xc0}); // 1 and -2.5 in bfloat16
      sparse.seek((1L << 31) - 2);
      sparse.write(new byte[] {0x00, 0x40}); // 2, at the end of the second piece
    }
    Runtime runtime = Runtime.getRuntime();
    long before = allocatedBytes();
    MappedTensor tensor =
        new MappedTensor(
            MappedFile.open(large), "t", DType.BF16, new long[] {rows, columns}, offset);
    float[] last = new float[(int) columns];
    tensor.readFloats((rows - 1) * columns, last, 0, last.length);
    assertEquals(1f, last[last.length - 2]);
    assertEquals(-2.5f, last[last.length - 1]);
    tensor.readFloats(((1L << 31) - 2 - offset) / 2 - 1, last, 0, 3);
    assertArrayEquals(new float[] {0, 2, 0}, new float[] {last[0], last[1], last[2]});
    long allocated = allocatedBytes() - before;
    assertTrue(allocated < 1 << 20, allocated + " bytes of heap of " + runtime.maxMemory());
    Files.delete(large);
  }

  @ParameterizedTest
  @ValueSource(strings = {"BF16", "F16", "F32"})
  void readingRowsAllocatesNothing(String type) throws IOException {
    DType dtype = DType.valueOf(type);
    int columns = 5000;
    int rows = 8;
    MappedFile file = MappedFile.open(randomFile(1 + columns * rows * dtype.bytes()));
    Tensor tensor = new MappedTensor(file, "t", dtype, new long[] {rows, columns}, 1);
    float[] row = new float[columns];
    short[] raw = new short[columns];
    tensor.readFloats(0, row, 0, columns);
    allocatedBytes();
    long before = allocatedBytes();
    for (int i = 0; i < 1000; i++) {
      tensor.readFloats((long) (i % rows) * columns, row, 0, columns);
      if (dtype != DType.F32) {
        tensor.readShorts((long) (i % rows) * columns, raw, 0, columns);
      }
    }
    long allocated = allocatedBytes() - before;
    assertTrue(allocated < 10_000, allocated + " bytes for 1000 rows");
  }

  @Test
  void threadsReadAtOnce() throws Exception {
    MappedFile file = MappedFile.open(randomFile(100_003), 64);
    ByteBuffer expected = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
    ExecutorService threads = Executors.newFixedThreadPool(4);
    try {
      Callable<Void> read =
          () -> {
            SplittableRandom random = new SplittableRandom(Thread.currentThread().getId());
            short[] run = new short[500];
            for (int i = 0; i < 2000; i++) {
              int offset = random.nextInt(99_000);
              file.readShorts(offset, run, 0, run.length);
              for (int j = 0; j < run.length; j++) {
                assertEquals(expected.getShort(offset + 2 * j), run[j]);
              }
            }
            return null;
          };
      for (Future<Void> done :
          threads.invokeAll(IntStream.range(0, 4).mapToObj(i -> read).toList())) {
        done.get();
      }
    } finally {
      threads.shutdownNow();
    }
  }

  private static long allocatedBytes() {
    return ((ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
  }
}
