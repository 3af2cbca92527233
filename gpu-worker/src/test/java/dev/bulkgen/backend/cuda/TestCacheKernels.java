package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.cpu.CacheOracle;
import dev.bulkgen.backend.cpu.CacheOracle.Tokens;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.tensor.Float16;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** All bytes of pages and windows against those of the CPU backend after the same history. */
class TestCacheKernels {
  private static final int KV_HEADS = 2;
  private static final int LAYERS = 2;
  private static final int LAYER = 1;

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

  @ParameterizedTest(name = "k={0} v={1} group={2} window={3} sink={4} headDim={5}")
  @CsvSource({
    "2, 2, 32, 128, 0, 128",
    "4, 4, 32, 32, 0, 64",
    "4, 2, 16, 16, 32, 8",
    "2, 4, 16, 48, 16, 24",
    "2, 2, 48, 48, 48, 80",
    "4, 2, 64, 64, 0, 96",
    "2, 4, 80, 80, 0, 32",
    "4, 4, 128, 128, 0, 256",
    "2, 2, 112, 112, 112, 40"
  })
  void keepsPromptsAndFlushes(
      int keyBits, int valueBits, int group, int window, int sink, int headDim) {
    CachePolicy policy = new CachePolicy.Kivi(keyBits, valueBits, group, window, sink);
    CacheLayout layout = new CacheLayout(policy, LAYERS, KV_HEADS, headDim);
    int whole = sink + 2 * window;
    keepsPrompts(layout, 1, 16, sink + 1, sink + window, sink + window + 1, whole, whole + 19);
    flushes(layout, 1, sink + window - 1, sink + window, sink + 2 * window - 1, whole + 4);
  }

  @ParameterizedTest
  @CsvSource({"8", "64", "80", "256"})
  void keepsPromptsInFloat16(int headDim) {
    CacheLayout layout = new CacheLayout(CachePolicy.FP16, LAYERS, KV_HEADS, headDim);
    keepsPrompts(layout, 1, 15, 16, 17, 31, 32, 33, 70);
    flushes(layout, 1, 31, 32);
  }

  private static void keepsPrompts(CacheLayout layout, int... lengths) {
    int longest = Arrays.stream(lengths).max().orElseThrow();
    CacheOracle oracle = new CacheOracle(layout, LAYER, lengths.length, longest, 5);
    Tokens[] tokens = tokens(layout, lengths);
    // Pages are taken before, so that the device begins with the same bytes.
    for (int slot = 0; slot < lengths.length; slot++) {
      oracle.reserve(slot, lengths[slot]);
    }
    DeviceArrays arrays = new DeviceArrays(context);
    int[] firstRow = new int[lengths.length];
    for (int i = 1; i < lengths.length; i++) {
      firstRow[i] = firstRow[i - 1] + lengths[i - 1];
    }
    int[] slots = IntStream.range(0, lengths.length).toArray();
    try (CudaStream stream = context.newStream("cache");
        CacheOnDevice cache = new CacheOnDevice(arrays, layout, oracle, oracle.maxPages(longest));
        DeviceMemory keys = arrays.upload("keys", rows(layout, tokens, lengths, true));
        DeviceMemory values = arrays.upload("values", rows(layout, tokens, lengths, false));
        DeviceMemory deviceFirst = arrays.upload("first rows", firstRow);
        DeviceMemory deviceLengths = arrays.upload("lengths", lengths);
        DeviceMemory deviceSlots = arrays.upload("slots", slots);
        DeviceMemory zeros = arrays.upload("zeros", new int[lengths.length])) {
      PromptView prompts =
          new PromptView(
              keys.address(),
              values.address(),
              deviceFirst.address(),
              deviceLengths.address(),
              zeros.address(),
              deviceSlots.address(),
              PromptView.Kept.NONE);
      CacheKernels.Stored stored =
          new CacheKernels.Stored(
              lengths.length, longest, deviceLengths.address(), zeros.address());
      new CacheKernels(context.kernels(), layout)
          .storePrompts(stream, cache.view, LAYER, prompts, stored);
      stream.synchronize();
      for (int slot = 0; slot < lengths.length; slot++) {
        oracle.storePrompt(slot, tokens[slot], lengths[slot]);
      }
      assertSame(arrays, cache, oracle);
    }
  }

  private static void flushes(CacheLayout layout, int... positions) {
    int longest = Arrays.stream(positions).max().orElseThrow() + 1;
    CacheOracle oracle = new CacheOracle(layout, LAYER, positions.length, longest, 6);
    Tokens[] tokens = tokens(layout, Arrays.stream(positions).map(p -> p + 1).toArray());
    int[] rows = new int[positions.length + 1];
    int[] slots = new int[positions.length + 1];
    rows[positions.length] = -1;
    for (int slot = 0; slot < positions.length; slot++) {
      int prompt = Math.max(1, positions[slot] - 3);
      oracle.storePrompt(slot, tokens[slot], prompt);
      for (int position = prompt; position < positions[slot]; position++) {
        oracle.append(slot, tokens[slot], position);
        oracle.flush(slot, position);
      }
      oracle.append(slot, tokens[slot], positions[slot]);
      rows[slot] = positions[slot];
      slots[slot] = slot;
    }
    DeviceArrays arrays = new DeviceArrays(context);
    try (CudaStream stream = context.newStream("cache");
        CacheOnDevice cache = new CacheOnDevice(arrays, layout, oracle, oracle.maxPages(longest));
        DeviceMemory devicePositions = arrays.upload("positions", rows);
        DeviceMemory deviceSlots = arrays.upload("slots", slots)) {
      CacheKernels kernels = new CacheKernels(context.kernels(), layout);
      assertEquals(layout.policy() instanceof CachePolicy.Kivi, kernels.flushes());
      kernels.flush(
          stream, cache.view, LAYER, rows.length, devicePositions.address(), deviceSlots.address());
      stream.synchronize();
      for (int slot = 0; slot < positions.length; slot++) {
        oracle.flush(slot, positions[slot]);
      }
      assertSame(arrays, cache, oracle);
    }
  }

  @Test
  void outliersNegativeZerosAndBrokenNumbersGiveTheSameBytes() {
    CachePolicy policy = new CachePolicy.Kivi(2, 4, 16, 16, 0);
    CacheLayout layout = new CacheLayout(policy, LAYERS, KV_HEADS, 16);
    float[] odd = {0f, -0f, Float16.MAX, -Float16.MAX, 6e-8f, -6e-8f, 1e-5f, Float.NaN};
    int length = 40;
    CacheOracle oracle = new CacheOracle(layout, LAYER, 1, length, 7);
    Tokens tokens = CacheOnDevice.tokens(layout, length, 8);
    for (int t = 0; t < length; t++) {
      for (int d = 0; d < 16; d++) {
        tokens.keys()[0][t][d] = odd[(t * 3 + d) % (d + 1) % odd.length];
        tokens.values()[0][t][d] = odd[(t + d) % (t % 8 + 1)];
      }
    }
    oracle.reserve(0, length);
    DeviceArrays arrays = new DeviceArrays(context);
    Tokens[] all = {tokens};
    int[] lengths = {length};
    try (CudaStream stream = context.newStream("cache");
        CacheOnDevice cache = new CacheOnDevice(arrays, layout, oracle, oracle.maxPages(length));
        DeviceMemory keys = arrays.upload("keys", rows(layout, all, lengths, true));
        DeviceMemory values = arrays.upload("values", rows(layout, all, lengths, false));
        DeviceMemory zero = arrays.upload("zero", 0);
        DeviceMemory deviceLengths = arrays.upload("lengths", lengths)) {
      PromptView prompts =
          new PromptView(
              keys.address(),
              values.address(),
              zero.address(),
              deviceLengths.address(),
              zero.address(),
              zero.address(),
              PromptView.Kept.NONE);
      CacheKernels.Stored stored =
          new CacheKernels.Stored(1, length, deviceLengths.address(), zero.address());
      new CacheKernels(context.kernels(), layout)
          .storePrompts(stream, cache.view, LAYER, prompts, stored);
      stream.synchronize();
      // The CPU backend widens a broken half to a large number before it keeps it.
      for (float[][][] part : new float[][][][] {tokens.keys(), tokens.values()}) {
        for (float[] token : part[0]) {
          for (int d = 0; d < token.length; d++) {
            token[d] = Float16.toFloat(Float16.fromFloat(token[d]));
          }
        }
      }
      oracle.storePrompt(0, tokens, length);
      byte[] expected = oracle.pages();
      assertEquals(-1, Arrays.mismatch(expected, arrays.bytes(cache.pages)), "pages");
    }
  }

  private static Tokens[] tokens(CacheLayout layout, int... lengths) {
    Tokens[] tokens = new Tokens[lengths.length];
    for (int i = 0; i < lengths.length; i++) {
      tokens[i] = CacheOnDevice.tokens(layout, lengths[i], 100 + i);
    }
    return tokens;
  }

  /** [rows][kvHeads][headDim] float16 of all prompts. */
  private static short[] rows(
      CacheLayout layout, Tokens[] tokens, int[] lengths, boolean wantsKeys) {
    short[] rows = new short[Arrays.stream(lengths).sum() * layout.kvHeads() * layout.headDim()];
    int at = 0;
    for (int i = 0; i < tokens.length; i++) {
      for (int t = 0; t < lengths[i]; t++) {
        for (int head = 0; head < layout.kvHeads(); head++) {
          float[][][] part = wantsKeys ? tokens[i].keys() : tokens[i].values();
          for (float x : part[head][t]) {
            rows[at++] = Float16.fromFloat(x);
          }
        }
      }
    }
    return rows;
  }

  private static void assertSame(DeviceArrays arrays, CacheOnDevice cache, CacheOracle oracle) {
    int page = Arrays.mismatch(oracle.pages(), arrays.bytes(cache.pages));
    assertEquals(-1, page, "first byte of pages that differs");
    int window = Arrays.mismatch(oracle.windows(), arrays.bytes(cache.windows));
    assertEquals(-1, window, "first byte of windows that differs");
  }

  @Test
  void refusesHeadsThatNoKernelTakes() {
    for (int headDim : new int[] {12, 264}) {
      CacheLayout layout = new CacheLayout(CachePolicy.FP16, 1, 1, headDim);
      BulkgenException refused =
          assertThrows(BulkgenException.class, () -> new CacheKernels(context.kernels(), layout));
      assertTrue(refused.getMessage().contains("multiples of 8"), refused.getMessage());
    }
  }
}
