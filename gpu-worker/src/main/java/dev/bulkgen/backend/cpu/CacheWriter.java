package dev.bulkgen.backend.cpu;

import static dev.bulkgen.cache.CacheLayout.TOKEN_TILE;

import dev.bulkgen.cache.CacheCodec;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.tensor.Float16;
import java.util.Arrays;

/**
 * Puts K and V into the cache, in the order of KIVI's algorithm 1 (arXiv 2402.02750) as its code
 * runs it: append, attend (by whoever reads), flush. A writer belongs to one worker.
 *
 * <p>Positions count from the sequence's start; token j is the one at position {@code sink + j}.
 * Keys and values that come in are float16 values already.
 */
final class CacheWriter {
  private static final int HALF = Short.BYTES;

  private final CacheLayout layout;
  private final CachePolicy.Kivi kivi;
  private final int headDim;
  private final int tileLength;
  private final short[] row; // [headDim]
  private final short[] tile; // [headDim][16]
  private final CodedStage stage;

  CacheWriter(CacheLayout layout) {
    this.layout = layout;
    this.kivi = layout.policy() instanceof CachePolicy.Kivi policy ? policy : null;
    headDim = layout.headDim();
    tileLength = headDim * TOKEN_TILE;
    row = new short[headDim];
    tile = new short[tileLength];
    stage = kivi == null ? null : new CodedStage(layout, kivi);
  }

  /** Bytes of staging that a writer allocates. */
  static long workspaceBytes(CacheLayout layout) {
    long own = (long) HALF * layout.headDim() * (1 + TOKEN_TILE);
    return layout.policy() instanceof CachePolicy.Kivi kivi
        ? own + CodedStage.workspaceBytes(layout, kivi)
        : own;
  }

  /** Adds the token at {@code position}; its K and V begin at {@code offset} of the two rows. */
  void append(CpuCacheStore.Part part, int position, float[] key, float[] value, int offset) {
    if (kivi == null) {
      int page = position / layout.pageTokens();
      int slot = position % layout.pageTokens();
      for (int d = 0; d < headDim; d++) {
        part.writePage(page, keyOffset(slot, d), Float16.fromFloat(key[offset + d]));
      }
      halves(value, offset);
      part.writePage(page, layout.fp16ValueOffset() + slot * headDim * HALF, row, 0, headDim);
      return;
    }
    boolean sink = position < kivi.sink();
    int j = position - kivi.sink();
    int keyBase = sink ? 0 : layout.windowKeyOffset(kivi);
    int keySlot = sink ? position : j % kivi.window();
    for (int d = 0; d < headDim; d++) {
      part.writeWindow(keyBase + keyOffset(keySlot, d), Float16.fromFloat(key[offset + d]));
    }
    halves(value, offset);
    part.writeWindow(valueAt(position), row, 0, headDim);
  }

  /** Quantizes what the token that made the sequence {@code length} long pushes out. */
  void flush(CpuCacheStore.Part part, int length) {
    if (kivi == null) {
      return;
    }
    int keys = layout.keysInPages(length);
    for (int j = layout.keysInPages(length - 1); j < keys; j += kivi.group()) {
      int firstSlot = j % kivi.window();
      for (int t = 0; t < kivi.group(); t += TOKEN_TILE) {
        int at = layout.windowKeyOffset(kivi) + keyOffset(firstSlot + t, 0);
        part.readWindow(at, tile, 0, tileLength);
        for (int i = 0; i < tileLength; i++) {
          stage.keyTiles[t * headDim + i] = Float16.toFloat(tile[i]);
        }
      }
      stage.encodeKeys(part, j);
    }
    for (int j = layout.valuesInPages(length - 1); j < layout.valuesInPages(length); j++) {
      part.readWindow(valueAt(kivi.sink() + j), row, 0, headDim);
      for (int d = 0; d < headDim; d++) {
        stage.value[d] = Float16.toFloat(row[d]);
      }
      stage.encodeValue(part, j);
    }
  }

  /**
   * Keeps a whole prompt of {@code length} tokens.
   *
   * @param keys tiles [tokens/16][headDim][16] from {@code keyOffset} on
   * @param values panels [ceil(headDim/16)][panelStride/16][16], the first token's at {@code
   *     valueOffset}
   */
  void storePrompt(
      CpuCacheStore.Part part,
      int length,
      float[] keys,
      int keyOffset,
      float[] values,
      int valueOffset,
      int panelStride) {
    storeKeys(part, length, keys, keyOffset);
    int sink = kivi == null ? 0 : kivi.sink();
    int valuesCoded = kivi == null ? 0 : layout.valuesInPages(length);
    for (int position = 0; position < length; position++) {
      int from = valueOffset + position * TOKEN_TILE;
      boolean coded = position >= sink && position < sink + valuesCoded;
      for (int d = 0; d < headDim; d++) {
        float value = values[from + d / TOKEN_TILE * panelStride + d % TOKEN_TILE];
        if (coded) {
          stage.value[d] = value;
        } else {
          row[d] = Float16.fromFloat(value);
        }
      }
      if (coded) {
        stage.encodeValue(part, position - sink);
      } else if (kivi != null) {
        part.writeWindow(valueAt(position), row, 0, headDim);
      } else {
        int at = layout.fp16ValueOffset() + position % layout.pageTokens() * headDim * HALF;
        part.writePage(position / layout.pageTokens(), at, row, 0, headDim);
      }
    }
  }

  private void storeKeys(CpuCacheStore.Part part, int length, float[] keys, int keyOffset) {
    int sink = kivi == null ? 0 : kivi.sink();
    int coded = kivi == null ? 0 : layout.keysInPages(length);
    for (int j = 0; j < coded; j += kivi.group()) {
      int from = keyOffset + (sink + j) * headDim;
      System.arraycopy(keys, from, stage.keyTiles, 0, kivi.group() * headDim);
      stage.encodeKeys(part, j);
    }
    for (int position = 0; position < length; position += TOKEN_TILE) {
      if (position >= sink && position < sink + coded) {
        continue;
      }
      for (int i = 0; i < tileLength; i++) {
        tile[i] = Float16.fromFloat(keys[keyOffset + position * headDim + i]);
      }
      if (kivi == null) {
        int at = keyOffset(position % layout.pageTokens(), 0);
        part.writePage(position / layout.pageTokens(), at, tile, 0, tileLength);
      } else if (position < sink) {
        part.writeWindow(keyOffset(position, 0), tile, 0, tileLength);
      } else {
        int slot = (position - sink) % kivi.window();
        part.writeWindow(layout.windowKeyOffset(kivi) + keyOffset(slot, 0), tile, 0, tileLength);
      }
    }
  }

  /** Byte of channel {@code d} of the token in {@code slot} of K tiles. */
  private int keyOffset(int slot, int d) {
    return ((slot / TOKEN_TILE * headDim + d) * TOKEN_TILE + slot % TOKEN_TILE) * HALF;
  }

  /** Byte of a float16 value row in the window slot. */
  private int valueAt(int position) {
    if (position < kivi.sink()) {
      return layout.sinkValueOffset(kivi) + position * headDim * HALF;
    }
    int slot = (position - kivi.sink()) % (kivi.window() + 1);
    return layout.windowValueOffset(kivi) + slot * headDim * HALF;
  }

  private void halves(float[] values, int offset) {
    for (int d = 0; d < headDim; d++) {
      row[d] = Float16.fromFloat(values[offset + d]);
    }
  }

  /** Encodes one group of keys or one value token at a time and puts it into its page. */
  private static final class CodedStage {
    private final CacheLayout layout;
    private final CachePolicy.Kivi kivi;
    private final CacheCodec keyCodec;
    private final CacheCodec valueCodec;
    private final float[] keyTiles; // [group/16][headDim][16]
    private final float[] channel; // [group]
    private final int[] keyWords; // [ceil(headDim/P)][group]
    private final short[] scales; // [headDim]
    private final short[] zeros; // [headDim]
    private final float[] value; // [headDim]
    private final int[] valueWords; // [headDim]

    private CodedStage(CacheLayout layout, CachePolicy.Kivi kivi) {
      this.layout = layout;
      this.kivi = kivi;
      int headDim = layout.headDim();
      keyCodec = new CacheCodec(kivi.keyBits(), kivi.group());
      valueCodec = new CacheCodec(kivi.valueBits(), kivi.group());
      keyTiles = new float[kivi.group() * headDim];
      channel = new float[kivi.group()];
      keyWords = new int[layout.keyWords(kivi) * kivi.group()];
      scales = new short[headDim];
      zeros = new short[headDim];
      value = new float[headDim];
      valueWords = new int[headDim];
    }

    private static long workspaceBytes(CacheLayout layout, CachePolicy.Kivi kivi) {
      int group = kivi.group();
      long words = group * (layout.headDim() + 1L + layout.keyWords(kivi) + 2);
      return 4 * words + layout.headDim() * (2L * HALF + 8);
    }

    /** {@link #keyTiles} are tokens [j, j + group) of the sequence. */
    private void encodeKeys(CpuCacheStore.Part part, int j) {
      int headDim = layout.headDim();
      int group = kivi.group();
      int perWord = CacheLayout.codesPerWord(kivi.keyBits());
      Arrays.fill(keyWords, 0);
      for (int d = 0; d < headDim; d++) {
        for (int t = 0; t < group; t++) {
          channel[t] = keyTiles[(t / TOKEN_TILE * headDim + d) * TOKEN_TILE + t % TOKEN_TILE];
        }
        keyCodec.encode(channel, 0, 1, group);
        scales[d] = keyCodec.scale();
        zeros[d] = keyCodec.zero();
        int shift = d % perWord * kivi.keyBits();
        for (int t = 0; t < group; t++) {
          keyWords[d / perWord * group + t] |= keyCodec.code(t) << shift;
        }
      }
      int page = j / layout.pageTokens();
      int inPage = j % layout.pageTokens() / group;
      part.writePage(page, inPage * keyWords.length * Integer.BYTES, keyWords, 0, keyWords.length);
      int at = inPage * headDim * HALF;
      part.writePage(page, layout.keyScaleOffset(kivi) + at, scales, 0, headDim);
      part.writePage(page, layout.keyZeroOffset(kivi) + at, zeros, 0, headDim);
    }

    /** {@link #value} is token j of the sequence. */
    private void encodeValue(CpuCacheStore.Part part, int j) {
      int headDim = layout.headDim();
      int perWord = CacheLayout.codesPerWord(kivi.valueBits());
      int page = j / layout.pageTokens();
      int token = j % layout.pageTokens();
      int wordsAt = layout.valueCodeOffset(kivi) + token / perWord * headDim * Integer.BYTES;
      if (token % perWord == 0) {
        // The page may come from another sequence: its codes must not shine through.
        Arrays.fill(valueWords, 0);
      } else {
        part.readPage(page, wordsAt, valueWords, 0, headDim);
      }
      int shift = token % perWord * kivi.valueBits();
      for (int g = 0; g < layout.valueGroups(kivi); g++) {
        int first = g * kivi.group();
        int count = Math.min(kivi.group(), headDim - first);
        valueCodec.encode(value, first, 1, count);
        for (int i = 0; i < count; i++) {
          valueWords[first + i] |= valueCodec.code(i) << shift;
        }
        int at = (g * layout.pageTokens() + token) * HALF;
        part.writePage(page, layout.valueScaleOffset(kivi) + at, valueCodec.scale());
        part.writePage(page, layout.valueZeroOffset(kivi) + at, valueCodec.zero());
      }
      part.writePage(page, wordsAt, valueWords, 0, headDim);
    }
  }
}
