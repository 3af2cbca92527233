package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class TestCudaStream {
  private static final int COUNT = 1000;
  private static final int BYTES = COUNT * Integer.BYTES;

  private CudaContext context;
  private DeviceArrays arrays;
  private CudaStream stream;
  private DeviceMemory table;
  private PinnedMemory pinned;

  @BeforeEach
  void open() {
    context = EmulatedDevice.open();
    arrays = new DeviceArrays(context);
    stream = context.newStream("steps");
    table = context.allocate(BYTES, "table");
    pinned = context.allocatePinned(BYTES, "tokens");
  }

  @AfterEach
  void close() {
    if (context != null) {
      stream.close();
      table.close();
      pinned.close();
      context.close();
    }
  }

  @Test
  void testCopiesAndFills() {
    for (int i = 0; i < COUNT; i++) {
      pinned.buffer().putInt(4 * i, i * i);
    }
    stream.fillInts(table, -7);
    stream.upload(table, 40, pinned, 400, 800);
    stream.copy(table, 2000, table, 40, 12);
    stream.fill(table.slice(3996, 4, "end"), (byte) 0x11);
    stream.synchronize();
    assertTrue(stream.isDone());
    int[] expected = new int[COUNT];
    for (int i = 0; i < COUNT; i++) {
      expected[i] = i >= 10 && i < 210 ? (i + 90) * (i + 90) : -7;
    }
    System.arraycopy(expected, 10, expected, 500, 3);
    expected[999] = 0x11111111;
    assertArrayEquals(expected, arrays.ints(table));
    stream.download(pinned, 4, table, 36, 8);
    stream.synchronize();
    assertEquals(0, pinned.buffer().getInt(0));
    assertEquals(-7, pinned.buffer().getInt(4));
    assertEquals(10000, pinned.buffer().getInt(8));
  }

  @Test
  void testRangesAreChecked() {
    assertThrows(BulkgenException.class, () -> stream.upload(table, 4, pinned, 0, BYTES));
    assertThrows(BulkgenException.class, () -> stream.upload(table, 0, pinned, 4, BYTES));
    assertThrows(BulkgenException.class, () -> stream.download(pinned, 0, table, -4, 4));
    assertThrows(BulkgenException.class, () -> stream.copy(table, 0, table, BYTES, 4));
    assertThrows(BulkgenException.class, () -> arrays.write(table, new int[COUNT + 1]));
  }

  @Test
  void testArraysOfEveryType() {
    try (DeviceMemory floats = arrays.upload("floats", 1.5f, Float.NaN);
        DeviceMemory shorts = arrays.upload("shorts", (short) -1, (short) 2, (short) 3);
        DeviceMemory bytes = arrays.upload("bytes", (byte) 9)) {
      assertArrayEquals(new float[] {1.5f, Float.NaN}, arrays.floats(floats));
      assertArrayEquals(new short[] {-1, 2, 3}, arrays.shorts(shorts));
      assertArrayEquals(new byte[] {9}, arrays.bytes(bytes));
      arrays.write(shorts, (short) 7);
      assertArrayEquals(new short[] {7, 2, 3}, arrays.shorts(shorts));
      assertThrows(BulkgenException.class, () -> arrays.ints(shorts));
    }
  }

  @Test
  void testEventsOrderStreams() {
    try (CudaStream other = context.newStream("copies");
        CudaEvent filled = context.newEvent("filled");
        CudaEvent copied = context.newEvent("copied")) {
      for (int round = 0; round < 20; round++) {
        stream.fillInts(table, round);
        stream.record(filled);
        other.await(filled);
        other.download(pinned, 0, table, 0, BYTES);
        other.record(copied);
        stream.await(copied);
        stream.fillInts(table, -1);
        copied.synchronize();
        assertTrue(copied.isDone());
        for (int i = 0; i < COUNT; i++) {
          assertEquals(round, pinned.buffer().getInt(4 * i));
        }
      }
      stream.synchronize();
      assertTrue(copied.millisSince(filled) >= 0);
    }
  }

  @Test
  void testGraphRunsWhatWasCaptured() {
    try (DeviceMemory target = context.allocate(BYTES, "target")) {
      arrays.write(target, new int[COUNT]);
      arrays.write(table, new int[COUNT]);
      CudaGraph graph =
          stream.capture(
              "copy and clear",
              () -> {
                stream.copy(target, 0, table, 0, BYTES);
                stream.fillInts(table, -1);
              });
      stream.synchronize();
      assertEquals(0, arrays.ints(target)[COUNT - 1]);
      for (int round = 1; round < 5; round++) {
        stream.fillInts(table, round);
        graph.launch(stream);
        stream.synchronize();
        assertEquals(round, arrays.ints(target)[COUNT - 1]);
        assertEquals(-1, arrays.ints(table)[0]);
      }
      graph.close();
      assertThrows(BulkgenException.class, () -> graph.launch(stream));
    }
  }

  @Test
  void testFailureInACaptureLeavesAStreamThatWorks() {
    RuntimeException failure = new IllegalStateException("on purpose");
    RuntimeException seen =
        assertThrows(
            RuntimeException.class,
            () ->
                stream.capture(
                    "broken",
                    () -> {
                      stream.fillInts(table, 1);
                      throw failure;
                    }));
    assertSame(failure, seen);
    stream.fillInts(table, 2);
    stream.synchronize();
    assertEquals(2, arrays.ints(table)[0]);
  }
}
