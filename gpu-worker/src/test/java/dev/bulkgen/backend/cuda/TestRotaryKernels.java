package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.model.RopeConfig;
import dev.bulkgen.tensor.Float16;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestRotaryKernels {
  private static final RopeConfig ROPE = new RopeConfig(10000, new RopeConfig.None());
  private static final int HALF = Short.BYTES;
  private static final byte OLD = 0x5a;

  private static CudaContext context;

  @BeforeAll
  static void open() {
    context = EmulatedDevice.open();
  }

  @AfterAll
  static void close() {
    if (context != null) {
      context.close();
    }
  }

  private static AttentionShape shape(int queryHeads, int kvHeads, int headDim, boolean norms) {
    return new AttentionShape(queryHeads, kvHeads, headDim, OptionalInt.empty(), norms);
  }

  @ParameterizedTest(name = "{2} of {0}/{1} heads, norms {3}, padding {4}")
  @CsvSource({
    "2, 1, 8, false, 0",
    "1, 1, 8, true, 3",
    "3, 1, 10, true, 0",
    "2, 2, 20, false, 4",
    "5, 1, 24, true, 0",
    "4, 2, 32, false, 0",
    "7, 1, 64, true, 2",
    "8, 2, 64, false, 1",
    "6, 2, 80, true, 0",
    "3, 3, 96, false, 0",
    "4, 1, 128, true, 0",
    "2, 1, 128, false, 5",
    "2, 1, 256, true, 0",
    "1, 1, 256, true, 7",
    "1, 1, 250, false, 0"
  })
  void promptsBecomeQueriesKeysAndValues(
      int queryHeads, int kvHeads, int headDim, boolean norms, int padding) {
    int[] positions = {0, 1, RotaryCase.NO_ROW, 2, 500, 0, 1023};
    RotaryCase rows =
        new RotaryCase(shape(queryHeads, kvHeads, headDim, norms), positions, padding, ROPE);
    short[] old = new short[rows.rows() * rows.shape.kvWidth()];
    Arrays.fill(old, (short) 0x1234);
    try (RotaryRun run = new RotaryRun(context, rows);
        DeviceMemory keys = run.arrays.upload("keys", old);
        DeviceMemory values = run.arrays.upload("values", old)) {
      run.kernels.prompt(run.stream, run.rows(), run.norms(), keys.address(), values.address());
      run.stream.synchronize();
      checkQueries(rows, run.arrays.floats(run.query));
      short[] newKeys = run.arrays.shorts(keys);
      short[] newValues = run.arrays.shorts(values);
      for (int row = 0; row < rows.rows(); row++) {
        int from = row * rows.shape.kvWidth();
        int to = from + rows.shape.kvWidth();
        if (positions[row] == RotaryCase.NO_ROW) {
          assertArrayEquals(Arrays.copyOf(old, to - from), Arrays.copyOfRange(newKeys, from, to));
          assertArrayEquals(Arrays.copyOf(old, to - from), Arrays.copyOfRange(newValues, from, to));
          continue;
        }
        for (int head = 0; head < kvHeads; head++) {
          for (int d = 0; d < headDim; d++) {
            int at = from + head * headDim + d;
            checkKey(rows, row, head, d, newKeys[at]);
            checkValue(rows, row, head, d, newValues[at]);
          }
        }
      }
    }
  }

  private static void checkQueries(RotaryCase rows, float[] query) {
    int headDim = rows.shape.headDim();
    for (int row = 0; row < rows.rows(); row++) {
      for (int head = 0; head < rows.shape.queryHeads(); head++) {
        int from = row * rows.shape.queryWidth() + head * headDim;
        if (rows.positions[row] == RotaryCase.NO_ROW) {
          assertEquals(RotaryRun.OLD_QUERY, query[from]);
          continue;
        }
        double[] expected = rows.expected(row, head);
        for (int d = 0; d < headDim; d++) {
          assertEquals(expected[d], query[from + d], 3e-6, row + " " + head + " " + d);
        }
      }
    }
  }

  private static void checkKey(RotaryCase rows, int row, int kvHead, int d, short half) {
    double expected = rows.expected(row, rows.shape.queryHeads() + kvHead)[d];
    // Half of float16's last place, and what float's sums are off by.
    double bound = Math.abs(expected) / 2048 + 1e-5;
    assertEquals(expected, Float16.toFloatAny(half), bound, row + " " + kvHead + " " + d);
  }

  private static void checkValue(RotaryCase rows, int row, int kvHead, int d, short half) {
    int head = rows.shape.queryHeads() + rows.shape.kvHeads() + kvHead;
    float expected = rows.qkv[row * rows.qkvStride + head * rows.shape.headDim() + d];
    assertEquals(Float16.fromFloat(expected), half, row + " " + kvHead + " " + d);
  }

  @ParameterizedTest(name = "{2} of {0}/{1} heads, norms {3}")
  @CsvSource({
    "1, 1, 8, false",
    "2, 1, 10, true",
    "2, 2, 20, false",
    "3, 3, 32, false",
    "4, 2, 64, true",
    "5, 1, 80, false",
    "8, 1, 128, true",
    "1, 1, 256, false"
  })
  void decodedRowsGoIntoPagesOrWindows(int queryHeads, int kvHeads, int headDim, boolean norms) {
    AttentionShape shape = shape(queryHeads, kvHeads, headDim, norms);
    decodeInto(CachePolicy.FP16, shape, 0, 15, 16, 31, 32, RotaryCase.NO_ROW, 33, 127);
    CachePolicy sink = new CachePolicy.Kivi(2, 4, 16, 32, 16);
    decodeInto(sink, shape, 0, 15, 16, 47, RotaryCase.NO_ROW, 48, 49, 80, 81);
    CachePolicy noSink = new CachePolicy.Kivi(4, 2, 32, 32, 0);
    decodeInto(noSink, shape, 0, 31, 32, RotaryCase.NO_ROW, 33, 65);
  }

  private static void decodeInto(CachePolicy policy, AttentionShape shape, int... positions) {
    RotaryCase rows = new RotaryCase(shape, positions, 0, ROPE);
    CacheLayout layout = new CacheLayout(policy, 2, shape.kvHeads(), shape.headDim());
    int layer = 1;
    int slots = positions.length;
    int maxPages = 4;
    int[] slotOfRow = new int[slots];
    int[] table = new int[slots * layout.layers() * maxPages];
    for (int i = 0; i < slots; i++) {
      slotOfRow[i] = slots - 1 - i;
    }
    for (int i = 0; i < table.length; i++) {
      table[i] = table.length - 1 - i;
    }
    byte[] pages = filled(table.length * layout.pageBytes());
    byte[] windows = filled((int) Math.max(1, slots * layout.windowBytes()));
    try (RotaryRun run = new RotaryRun(context, rows);
        DeviceMemory devicePages = run.arrays.upload("pages", pages);
        DeviceMemory deviceWindows = run.arrays.upload("windows", windows);
        DeviceMemory deviceTable = run.arrays.upload("page table", table);
        DeviceMemory deviceSlots = run.arrays.upload("slots", slotOfRow)) {
      CudaCacheView cache =
          new CudaCacheView(
              layout,
              devicePages.address(),
              deviceWindows.address(),
              deviceTable.address(),
              maxPages);
      run.kernels.decode(run.stream, run.rows(), run.norms(), cache, layer, deviceSlots.address());
      run.stream.synchronize();
      checkQueries(rows, run.arrays.floats(run.query));
      byte[] newPages = run.arrays.bytes(devicePages);
      byte[] newWindows = run.arrays.bytes(deviceWindows);
      for (int row = 0; row < rows.rows(); row++) {
        if (positions[row] != RotaryCase.NO_ROW) {
          int slotLayer = slotOfRow[row] * layout.layers() + layer;
          for (int head = 0; head < shape.kvHeads(); head++) {
            if (policy instanceof CachePolicy.Kivi kivi) {
              int at = (slotLayer * shape.kvHeads() + head) * layout.windowHeadBytes();
              List<Integer> places = inWindow(layout, kivi, positions[row]);
              check(rows, row, head, newWindows, windows, places, at);
            } else {
              int page = table[slotLayer * maxPages + positions[row] / layout.pageTokens()];
              int at = (page * shape.kvHeads() + head) * layout.pageHeadBytes();
              List<Integer> places = inPage(layout, positions[row] % layout.pageTokens());
              check(rows, row, head, newPages, pages, places, at);
            }
          }
        }
      }
      assertArrayEquals(pages, newPages, "bytes of other tokens");
      assertArrayEquals(windows, newWindows, "bytes of other tokens");
    }
  }

  private static byte[] filled(int bytes) {
    byte[] old = new byte[bytes];
    Arrays.fill(old, OLD);
    return old;
  }

  /** Checks the token's numbers, and moves them from {@code found} into {@code expected}. */
  private static void check(
      RotaryCase rows,
      int row,
      int head,
      byte[] found,
      byte[] expected,
      List<Integer> places,
      int base) {
    ByteBuffer halves = ByteBuffer.wrap(found).order(ByteOrder.nativeOrder());
    int headDim = rows.shape.headDim();
    for (int i = 0; i < 2 * headDim; i++) {
      int at = base + places.get(i);
      if (i < headDim) {
        checkKey(rows, row, head, i, halves.getShort(at));
      } else {
        checkValue(rows, row, head, i - headDim, halves.getShort(at));
      }
      expected[at] = found[at];
      expected[at + 1] = found[at + 1];
    }
  }

  /** Bytes of a token's K channels, then of its V channels, in an fp16 page's head part. */
  private static List<Integer> inPage(CacheLayout layout, int token) {
    List<Integer> places = new ArrayList<>();
    addKey(places, layout, 0, token);
    addValue(places, layout, layout.fp16ValueOffset(), token);
    return places;
  }

  /** The same in the head part of a window slot. */
  private static List<Integer> inWindow(CacheLayout layout, CachePolicy.Kivi kivi, int position) {
    List<Integer> places = new ArrayList<>();
    if (position < kivi.sink()) {
      addKey(places, layout, 0, position);
      addValue(places, layout, layout.sinkValueOffset(kivi), position);
    } else {
      int j = position - kivi.sink();
      addKey(places, layout, layout.windowKeyOffset(kivi), j % kivi.window());
      addValue(places, layout, layout.windowValueOffset(kivi), j % (kivi.window() + 1));
    }
    return places;
  }

  private static void addKey(List<Integer> places, CacheLayout layout, int base, int token) {
    int tile = CacheLayout.TOKEN_TILE;
    for (int d = 0; d < layout.headDim(); d++) {
      int index = (token / tile * layout.headDim() + d) * tile + token % tile;
      places.add(base + index * HALF);
    }
  }

  private static void addValue(List<Integer> places, CacheLayout layout, int base, int token) {
    for (int d = 0; d < layout.headDim(); d++) {
      places.add(base + (token * layout.headDim() + d) * HALF);
    }
  }

  @Test
  void outliersSaturate() {
    RotaryCase rows = new RotaryCase(shape(1, 1, 8, false), new int[] {0}, 0, ROPE);
    Arrays.fill(rows.qkv, 8, 12, 1e6f);
    Arrays.fill(rows.qkv, 12, 24, -1e6f);
    try (RotaryRun run = new RotaryRun(context, rows);
        DeviceMemory keys = run.arrays.upload("keys", new short[8]);
        DeviceMemory values = run.arrays.upload("values", new short[8])) {
      run.kernels.prompt(run.stream, run.rows(), run.norms(), keys.address(), values.address());
      run.stream.synchronize();
      short most = Float16.fromFloat(Float16.MAX);
      short least = Float16.fromFloat(-Float16.MAX);
      short[] expected = {most, most, most, most, least, least, least, least};
      assertArrayEquals(expected, run.arrays.shorts(keys));
      Arrays.fill(expected, least);
      assertArrayEquals(expected, run.arrays.shorts(values));
    }
  }

  @Test
  void refusesHeadsThatNoKernelTakes() {
    for (int headDim : new int[] {7, 258}) {
      BulkgenException refused =
          assertThrows(
              BulkgenException.class,
              () -> new RotaryKernels(context.kernels(), shape(1, 1, headDim, false), 1e-5f, 0));
      assertTrue(refused.getMessage().contains("even sizes up to 256"), refused.getMessage());
    }
  }
}
