package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheCodec;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorKind;
import dev.bulkgen.tensor.Float16;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestCpuCacheStore {
  private static final int HEADS = 2;

  /** The table of state vectors: window 128, no sink. */
  @ParameterizedTest
  @CsvSource({
    "1,0,0,1,0,1",
    "100,0,0,100,0,100",
    "128,0,128,0,0,128",
    "200,0,128,72,72,128",
    "300,0,256,44,172,128",
    "128,1,128,1,1,128",
    "200,55,128,127,127,128",
    "200,56,256,0,128,128"
  })
  void statesFollowTheTable(
      int prompt, int decoded, int keysCoded, int keysExact, int valuesCoded, int valuesExact) {
    CacheLayout layout = new CacheLayout(CachePolicy.KIVI2, 1, HEADS, 32);
    Sequence sequence = new Sequence(layout, prompt, decoded, false);
    int length = prompt + decoded;
    assertEquals(keysCoded, layout.keysInPages(length));
    assertEquals(keysExact, length - layout.keysInPages(length));
    assertEquals(valuesCoded, layout.valuesInPages(length));
    assertEquals(valuesExact, length - layout.valuesInPages(length));
    sequence.assertHoldsEverything();
  }

  @ParameterizedTest
  @CsvSource({
    "2,2,32,32,0,32,75,40",
    "4,2,16,16,32,8,90,30",
    "2,4,48,48,48,80,130,60",
    "4,4,128,128,0,20,140,130",
    "2,2,64,128,64,24,40,200",
    "4,4,16,64,16,128,5,100",
    "2,2,32,64,32,64,1,170"
  })
  void everyTokenIsWhereTheLayoutSays(
      int keyBits,
      int valueBits,
      int group,
      int window,
      int sink,
      int headDim,
      int prompt,
      int decoded) {
    CachePolicy policy = new CachePolicy.Kivi(keyBits, valueBits, group, window, sink);
    CacheLayout layout = new CacheLayout(policy, 2, HEADS, headDim);
    Sequence sequence = new Sequence(layout, prompt, decoded, true);
    sequence.assertHoldsEverything();
    assertEquals(layout.sequenceBytes(prompt + decoded), sequence.bytesTaken());
  }

  @ParameterizedTest
  @CsvSource({"1,0", "31,3", "64,40", "77,100"})
  void fp16KeepsEverything(int prompt, int decoded) {
    CacheLayout layout = new CacheLayout(CachePolicy.FP16, 2, HEADS, 40);
    Sequence sequence = new Sequence(layout, prompt, decoded, true);
    sequence.assertHoldsEverything();
    assertEquals(layout.sequenceBytes(prompt + decoded), sequence.bytesTaken());
  }

  @Test
  void takesExactlyWhatTheLayoutSays() {
    CacheLayout layout = new CacheLayout(CachePolicy.KIVI4, 3, HEADS, 64);
    CpuCacheStore store = new CpuCacheStore(layout, new CacheCapacity(7, 2, 64));
    assertEquals(7L * layout.pageBytes() + 2 * layout.windowBytes(), store.bytes());
  }

  @Test
  void slabsHoldWholeUnitsAndGuardTheirEnds() {
    Slabs slabs = Slabs.allocate("units", 7, 12, 30, ByteBuffer::allocateDirect);
    for (int unit = 0; unit < 7; unit++) {
      slabs.write(unit, 0, new int[] {unit, unit + 100, unit + 200}, 0, 3);
    }
    int[] read = new int[3];
    for (int unit = 0; unit < 7; unit++) {
      slabs.read(unit, 0, read, 0, 3);
      assertArrayEquals(new int[] {unit, unit + 100, unit + 200}, read);
    }
    assertEquals(84, slabs.bytes());
    assertThrows(IndexOutOfBoundsException.class, () -> slabs.read(0, 4, read, 0, 3));
    assertThrows(IndexOutOfBoundsException.class, () -> slabs.write(6, -2, (short) 1));
    assertThrows(IndexOutOfBoundsException.class, () -> slabs.read(7, 0, read, 0, 3));
  }

  @Test
  void moreThanTheMachineGivesIsAResourceError() {
    BulkgenException refused =
        assertThrows(
            BulkgenException.class,
            () ->
                Slabs.allocate(
                    "pages",
                    5,
                    1 << 20,
                    2 << 20,
                    bytes -> {
                      throw new OutOfMemoryError("Cannot reserve " + bytes);
                    }));
    assertEquals(ErrorKind.RESOURCE, refused.kind());
    assertTrue(refused.getMessage().contains("-XX:MaxDirectMemorySize"), refused.getMessage());
  }

  /** One sequence written as a prompt and then token by token, and read back by the layout. */
  private static final class Sequence {
    private final CacheLayout layout;
    private final CachePolicy.Kivi kivi;
    private final CpuCacheStore store;
    private final PagePool pool;
    private final SequenceCache cache = new SequenceCache(1, 2);
    private final float[][][] keys; // [heads][tokens][headDim]
    private final float[][][] values;
    private final int layer;

    Sequence(CacheLayout layout, int prompt, int decoded, boolean stale) {
      this.layout = layout;
      kivi = layout.policy() instanceof CachePolicy.Kivi policy ? policy : null;
      int length = prompt + decoded;
      layer = layout.layers() - 1;
      int pages = 2 * layout.pagesPerLayer(length);
      store = new CpuCacheStore(layout, new CacheCapacity(pages, 2, length));
      pool = new PagePool(pages);
      keys = tokens(length, 3);
      values = tokens(length, 4);
      pool.grow(cache.pages(), layout.pagesPerLayer(length));
      if (stale) {
        fillWithStaleCodes();
      }
      pool.release(cache.pages());
      write(prompt, decoded);
    }

    private float[][][] tokens(int length, long seed) {
      SplittableRandom random = new SplittableRandom(seed);
      float[][][] tokens = new float[HEADS][length][layout.headDim()];
      for (float[][] head : tokens) {
        for (float[] token : head) {
          for (int d = 0; d < token.length; d++) {
            token[d] = Float16.round((float) random.nextDouble(-3, 3));
          }
        }
      }
      return tokens;
    }

    private void fillWithStaleCodes() {
      int[] garbage = new int[layout.pageHeadBytes() / 4];
      Arrays.fill(garbage, 0x7eadbeef);
      for (int head = 0; head < HEADS; head++) {
        for (int page = 0; page < cache.pages().count(layer); page++) {
          store.part(cache, layer, head).writePage(page, 0, garbage, 0, garbage.length);
        }
      }
    }

    private void write(int prompt, int decoded) {
      CacheWriter writer = new CacheWriter(layout);
      pool.grow(cache.pages(), layout.pagesPerLayer(prompt));
      for (int head = 0; head < HEADS; head++) {
        int headDim = layout.headDim();
        int tiles = (prompt + 15) / 16;
        float[] keyTiles = new float[tiles * headDim * 16];
        float[] valuePanels = new float[(headDim + 15) / 16 * tiles * 256];
        for (int t = 0; t < prompt; t++) {
          for (int d = 0; d < headDim; d++) {
            keyTiles[(t / 16 * headDim + d) * 16 + t % 16] = keys[head][t][d];
            valuePanels[(d / 16 * tiles * 16 + t) * 16 + d % 16] = values[head][t][d];
          }
        }
        CpuCacheStore.Part part = store.part(cache, layer, head);
        writer.storePrompt(part, prompt, keyTiles, 0, valuePanels, 0, tiles * 256);
      }
      cache.advance(prompt);
      for (int i = 0; i < decoded; i++) {
        int position = prompt + i;
        pool.grow(cache.pages(), layout.pagesPerLayer(position + 1));
        for (int head = 0; head < HEADS; head++) {
          CpuCacheStore.Part part = store.part(cache, layer, head);
          writer.append(part, position, keys[head][position], values[head][position], 0);
          writer.flush(part, position + 1);
        }
        cache.advance(1);
      }
    }

    long bytesTaken() {
      long pages = 0;
      for (int l = 0; l < layout.layers(); l++) {
        pages += cache.pages().count(l);
      }
      return pages * layout.pageBytes() + layout.windowBytes();
    }

    void assertHoldsEverything() {
      int length = cache.length();
      for (int head = 0; head < HEADS; head++) {
        CpuCacheStore.Part part = store.part(cache, layer, head);
        for (int t = 0; t < length; t++) {
          for (int d = 0; d < layout.headDim(); d++) {
            String where = "head " + head + " token " + t + " channel " + d;
            assertEquals(expectedKey(head, t, d), key(part, t, d), where);
            assertEquals(expectedValue(head, t, d), value(part, t, d), where);
          }
        }
      }
    }

    private float expectedKey(int head, int t, int d) {
      int j = kivi == null ? -1 : t - kivi.sink();
      if (j < 0 || j >= layout.keysInPages(cache.length())) {
        return keys[head][t][d];
      }
      int first = t - j % kivi.group();
      float[] group = new float[kivi.group()];
      for (int i = 0; i < group.length; i++) {
        group[i] = keys[head][first + i][d];
      }
      return coded(kivi.keyBits(), group, 0, group.length, t - first);
    }

    private float expectedValue(int head, int t, int d) {
      int j = kivi == null ? -1 : t - kivi.sink();
      if (j < 0 || j >= layout.valuesInPages(cache.length())) {
        return values[head][t][d];
      }
      int first = d / kivi.group() * kivi.group();
      int count = Math.min(kivi.group(), layout.headDim() - first);
      return coded(kivi.valueBits(), values[head][t], first, count, d - first);
    }

    private static float coded(int bits, float[] group, int offset, int count, int i) {
      CacheCodec codec = new CacheCodec(bits, count);
      codec.encode(group, offset, 1, count);
      return CacheCodec.decode(codec.code(i), codec.scale(), codec.zero());
    }

    private float key(CpuCacheStore.Part part, int t, int d) {
      int headDim = layout.headDim();
      if (kivi == null) {
        int slot = t % layout.pageTokens();
        return pageHalf(
            part, t / layout.pageTokens(), ((slot / 16 * headDim + d) * 16 + slot % 16) * 2);
      }
      int j = t - kivi.sink();
      if (j < 0) {
        return windowHalf(part, ((t / 16 * headDim + d) * 16 + t % 16) * 2);
      }
      if (j >= layout.keysInPages(cache.length())) {
        int slot = j % kivi.window();
        int at = ((slot / 16 * headDim + d) * 16 + slot % 16) * 2;
        return windowHalf(part, layout.windowKeyOffset(kivi) + at);
      }
      int page = j / layout.pageTokens();
      int group = j % layout.pageTokens() / kivi.group();
      int perWord = 32 / kivi.keyBits();
      int word = (group * layout.keyWords(kivi) + d / perWord) * kivi.group() + j % kivi.group();
      int code = (pageInt(part, page, word * 4) >>> d % perWord * kivi.keyBits());
      int at = (group * headDim + d) * 2;
      return CacheCodec.decode(
          code & ((1 << kivi.keyBits()) - 1),
          Float16.fromFloat(pageHalf(part, page, layout.keyScaleOffset(kivi) + at)),
          Float16.fromFloat(pageHalf(part, page, layout.keyZeroOffset(kivi) + at)));
    }

    private float value(CpuCacheStore.Part part, int t, int d) {
      int headDim = layout.headDim();
      if (kivi == null) {
        int slot = t % layout.pageTokens();
        return pageHalf(
            part, t / layout.pageTokens(), layout.fp16ValueOffset() + (slot * headDim + d) * 2);
      }
      int j = t - kivi.sink();
      if (j < 0) {
        return windowHalf(part, layout.sinkValueOffset(kivi) + (t * headDim + d) * 2);
      }
      if (j >= layout.valuesInPages(cache.length())) {
        int slot = j % (kivi.window() + 1);
        return windowHalf(part, layout.windowValueOffset(kivi) + (slot * headDim + d) * 2);
      }
      int page = j / layout.pageTokens();
      int token = j % layout.pageTokens();
      int perWord = 32 / kivi.valueBits();
      int word = token / perWord * headDim + d;
      int code =
          pageInt(part, page, layout.valueCodeOffset(kivi) + word * 4)
              >>> token % perWord * kivi.valueBits();
      int at = (d / kivi.group() * layout.pageTokens() + token) * 2;
      return CacheCodec.decode(
          code & ((1 << kivi.valueBits()) - 1),
          Float16.fromFloat(pageHalf(part, page, layout.valueScaleOffset(kivi) + at)),
          Float16.fromFloat(pageHalf(part, page, layout.valueZeroOffset(kivi) + at)));
    }

    private static float pageHalf(CpuCacheStore.Part part, int page, int at) {
      short[] half = new short[1];
      part.readPage(page, at, half, 0, 1);
      return Float16.toFloat(half[0]);
    }

    private static int pageInt(CpuCacheStore.Part part, int page, int at) {
      int[] word = new int[1];
      part.readPage(page, at, word, 0, 1);
      return word[0];
    }

    private static float windowHalf(CpuCacheStore.Part part, int at) {
      short[] half = new short[1];
      part.readWindow(at, half, 0, 1);
      return Float16.toFloat(half[0]);
    }
  }
}
