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
  private final CacheLayout staging;
  private final CachePolicy.Kivi kivi;
  private final int headDim;
  private final int tileLength;
  private final short[] row; // [headDim]
  private final short[] tile; // [headDim][16], or [16][headDim]
  private final CodedStage stage;

  CacheWriter(CacheLayout layout) {
    this.layout = layout;
    staging = layout.staging();
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
   * New tokens of a prompt, widened.
   *
   * @param first position of the first, a multiple of a staging page
   * @param end the position after the last
   * @param keys tiles [tokens/16][headDim][16] from {@code keyOffset} on
   * @param values panels [ceil(headDim/16)][panelStride/16][16], the first token's at {@code
   *     valueOffset}
   */
  record PromptTokens(
      int first,
      int end,
      float[] keys,
      int keyOffset,
      float[] values,
      int valueOffset,
      int panelStride) {

    private float value(int position, int d) {
      int panel = valueOffset + d / TOKEN_TILE * panelStride;
      return values[panel + (position - first) * TOKEN_TILE + d % TOKEN_TILE];
    }
  }

  /**
   * Keeps new tokens of a prompt: exactly, in the pages that are held for that, and if they end the
   * prompt, the whole of it as the policy has it, but for the pages that another has filled.
   */
  void keepPrompt(CpuCacheStore.Part part, PromptTokens tokens, boolean isEnd) {
    int end = Math.min(tokens.end, part.exactPages() * staging.pageTokens());
    for (int position = tokens.first; position < end; position += TOKEN_TILE) {
      int page = position / staging.pageTokens();
      int slot = position % staging.pageTokens();
      newKeys(tokens, position);
      part.writeExact(page, keyOffset(slot, 0), tile, 0, tileLength);
      int count = Math.min(TOKEN_TILE, tokens.end - position);
      for (int i = 0; i < count; i++) {
        newValue(tokens, position + i, tile, i * headDim);
      }
      int at = staging.fp16ValueOffset() + slot * headDim * HALF;
      part.writeExact(page, at, tile, 0, count * headDim);
    }
    if (kivi != null && isEnd) {
      storeKeys(part, tokens);
      storeValues(part, tokens);
    }
  }

  private void storeKeys(CpuCacheStore.Part part, PromptTokens tokens) {
    int sink = kivi.sink();
    int coded = layout.keysInPages(tokens.end);
    for (int j = part.sharedPages() * layout.pageTokens(); j < coded; j += kivi.group()) {
      for (int t = 0; t < kivi.group(); t += TOKEN_TILE) {
        stageKeys(part, tokens, sink + j + t, t * headDim);
      }
      stage.encodeKeys(part, j);
    }
    windowKeys(part, tokens, 0, Math.min(sink, tokens.end));
    windowKeys(part, tokens, sink + coded, tokens.end);
  }

  private void stageKeys(CpuCacheStore.Part part, PromptTokens tokens, int position, int at) {
    if (position >= tokens.first) {
      int from = tokens.keyOffset + (position - tokens.first) * headDim;
      System.arraycopy(tokens.keys, from, stage.keyTiles, at, tileLength);
      return;
    }
    exactKeys(part, position);
    for (int i = 0; i < tileLength; i++) {
      stage.keyTiles[at + i] = Float16.toFloat(tile[i]);
    }
  }

  private void windowKeys(CpuCacheStore.Part part, PromptTokens tokens, int from, int to) {
    for (int position = from; position < to; position += TOKEN_TILE) {
      if (position >= tokens.first) {
        newKeys(tokens, position);
      } else {
        exactKeys(part, position);
      }
      boolean isSink = position < kivi.sink();
      int slot = isSink ? position : (position - kivi.sink()) % kivi.window();
      int base = isSink ? 0 : layout.windowKeyOffset(kivi);
      part.writeWindow(base + keyOffset(slot, 0), tile, 0, tileLength);
    }
  }

  private void storeValues(CpuCacheStore.Part part, PromptTokens tokens) {
    int sink = kivi.sink();
    int coded = layout.valuesInPages(tokens.end);
    for (int j = part.sharedPages() * layout.pageTokens(); j < coded; j++) {
      stageValue(part, tokens, sink + j);
      stage.encodeValue(part, j);
    }
    windowValues(part, tokens, 0, Math.min(sink, tokens.end));
    windowValues(part, tokens, sink + coded, tokens.end);
  }

  private void stageValue(CpuCacheStore.Part part, PromptTokens tokens, int position) {
    if (position < tokens.first) {
      exactValue(part, position);
    }
    for (int d = 0; d < headDim; d++) {
      stage.value[d] =
          position < tokens.first ? Float16.toFloat(row[d]) : tokens.value(position, d);
    }
  }

  private void windowValues(CpuCacheStore.Part part, PromptTokens tokens, int from, int to) {
    for (int position = from; position < to; position++) {
      if (position >= tokens.first) {
        newValue(tokens, position, row, 0);
      } else {
        exactValue(part, position);
      }
      part.writeWindow(valueAt(position), row, 0, headDim);
    }
  }

  /** Leaves the keys of 16 tokens of earlier steps in {@link #tile}. */
  private void exactKeys(CpuCacheStore.Part part, int position) {
    int at = keyOffset(position % staging.pageTokens(), 0);
    part.readExact(position / staging.pageTokens(), at, tile, 0, tileLength);
  }

  /** Leaves the value of a token of an earlier step in {@link #row}. */
  private void exactValue(CpuCacheStore.Part part, int position) {
    int slot = position % staging.pageTokens();
    int at = staging.fp16ValueOffset() + slot * headDim * HALF;
    part.readExact(position / staging.pageTokens(), at, row, 0, headDim);
  }

  private void newKeys(PromptTokens tokens, int position) {
    int from = tokens.keyOffset + (position - tokens.first) * headDim;
    for (int i = 0; i < tileLength; i++) {
      tile[i] = Float16.fromFloat(tokens.keys[from + i]);
    }
  }

  private void newValue(PromptTokens tokens, int position, short[] target, int offset) {
    for (int d = 0; d < headDim; d++) {
      target[offset + d] = Float16.fromFloat(tokens.value(position, d));
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
