package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheCodec;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.tensor.Float16;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * One sequence of random tokens, written as a prompt and then token by token into pages that hold
 * another's codes, and read back by the layout. One more token is appended at the end and not yet
 * flushed, as it is while a step attends.
 */
final class CachedSequence {
  private static final int HEADS = 2;

  private final CacheLayout layout;
  private final CachePolicy.Kivi kivi;
  private final CpuCacheStore store;
  private final PagePool pool;
  private final SequenceCache cache;
  private final float[][][] keys; // [heads][tokens][headDim]
  private final float[][][] values;
  private final int layer;

  CachedSequence(CacheLayout layout, int prompt, int decoded) {
    this.layout = layout;
    kivi = layout.policy() instanceof CachePolicy.Kivi policy ? policy : null;
    int length = prompt + decoded;
    layer = layout.layers() - 1;
    cache = new SequenceCache(1, layout.layers());
    int pages = layout.layers() * layout.pagesPerLayer(length + 1);
    store = new CpuCacheStore(layout, new CacheCapacity(pages, 2, length));
    pool = new PagePool(pages);
    keys = tokens(length + 1, 3);
    values = tokens(length + 1, 4);
    pool.grow(cache.pages(), layout.pagesPerLayer(length + 1));
    fillWithStaleCodes();
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
      writer.keepPrompt(
          part,
          new CacheWriter.PromptTokens(0, prompt, keyTiles, 0, valuePanels, 0, tiles * 256),
          true);
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

  /** Appends the token after the last and leaves it unflushed; the length stays. */
  void appendPending() {
    int position = cache.length();
    pool.grow(cache.pages(), layout.pagesPerLayer(position + 1));
    CacheWriter writer = new CacheWriter(layout);
    for (int head = 0; head < HEADS; head++) {
      writer.append(part(head), position, keys[head][position], values[head][position], 0);
    }
  }

  CpuCacheStore.Part part(int head) {
    return store.part(cache, layer, head);
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

  /** What a reader of the key must see: coded or exact, as the length says. */
  float expectedKey(int head, int t, int d) {
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

  float expectedValue(int head, int t, int d) {
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
