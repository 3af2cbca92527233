package dev.bulkgen.cache;

import dev.bulkgen.model.ModelConfig;

/**
 * Where every byte of a cache is: the only place that multiplies. A sequence holds, per layer,
 * pages of {@link #pageTokens()} tokens, and one window slot for all layers.
 *
 * <p>Parts, in this order, for each K/V head (D channels, P = 32 / bits codes a word, a tile of 16
 * tokens):
 *
 * <pre>
 * fp16 page    K [pageTokens/16][D][16] half          V [pageTokens][D] half
 * kivi page    K codes  [groups][ceil(D/P)][group] int   scale, zero [groups][D] half each
 *              V codes  [pageTokens/P][D] int            scale, zero [ceil(D/group)][pageTokens] half each
 * window slot  per layer: sink K [sink/16][D][16], sink V [sink][D],
 *              window K [window/16][D][16], window V [window+1][D], all half
 * </pre>
 *
 * A word of K holds P neighbouring channels of one token, a word of V holds P neighbouring tokens
 * of one channel, the first in the lowest bits: lanes then run over tokens for q·K and over
 * channels for p·V, and codes come out of a word by shifts alone. The last word of K is padded with
 * zero codes where P does not divide D; the last V group is shorter where {@code group} does not
 * divide D.
 *
 * <p>The token at cached position p ≥ sink has index j = p − sink. Quantized, it is in page j /
 * pageTokens; in the window, K is at slot j mod window, V at j mod (window + 1): the value window
 * holds one more while a step attends, before the oldest is flushed (algorithm 1 of the paper, in
 * the order of its code).
 */
public record CacheLayout(CachePolicy policy, int layers, int kvHeads, int headDim) {
  /** Tokens that one vector of K covers. */
  public static final int TOKEN_TILE = 16;

  private static final int MIN_PAGE_TOKENS = 32;
  private static final int HALF = 2;
  private static final int WORD = 4;

  public static CacheLayout of(CachePolicy policy, ModelConfig model) {
    return new CacheLayout(
        policy, model.layerCount(), model.attention().kvHeads(), model.attention().headDim());
  }

  /** How exact K and V of prompts are kept while they are needed: in pages of float16. */
  public CacheLayout staging() {
    return new CacheLayout(CachePolicy.FP16, layers, kvHeads, headDim);
  }

  /** Whether pages hold all K and V as they are, so that nothing is staged. */
  public boolean isExact() {
    return policy.equals(CachePolicy.FP16);
  }

  /** Tokens of one layer that a page holds. */
  public int pageTokens() {
    if (policy instanceof CachePolicy.Kivi kivi) {
      return kivi.group() * ceilDiv(MIN_PAGE_TOKENS, kivi.group());
    }
    return MIN_PAGE_TOKENS;
  }

  /** Bytes of a page: {@link #pageTokens()} tokens of one layer, all K/V heads. */
  public int pageBytes() {
    return kvHeads * pageHeadBytes();
  }

  /** Bytes of one K/V head's part of a page. */
  public int pageHeadBytes() {
    if (policy instanceof CachePolicy.Kivi kivi) {
      int groups = pageTokens() / kivi.group();
      int keys = WORD * keyWords(kivi) * pageTokens() + 2 * HALF * groups * headDim;
      int valueWords = pageTokens() / codesPerWord(kivi.valueBits()) * headDim;
      return keys + WORD * valueWords + 2 * HALF * valueGroups(kivi) * pageTokens();
    }
    return 2 * HALF * pageTokens() * headDim;
  }

  /** Bytes of a sequence's window slot, all layers; 0 where the policy has no window. */
  public long windowBytes() {
    return (long) layers * kvHeads * windowHeadBytes();
  }

  /** Bytes of one layer's and one K/V head's part of a window slot. */
  public int windowHeadBytes() {
    if (policy instanceof CachePolicy.Kivi kivi) {
      return HALF * headDim * (2 * kivi.sink() + 2 * kivi.window() + 1);
    }
    return 0;
  }

  /** Where a part begins, in bytes from the start of a K/V head's part of a page. */
  public int keyScaleOffset(CachePolicy.Kivi kivi) {
    return WORD * keyWords(kivi) * pageTokens();
  }

  public int keyZeroOffset(CachePolicy.Kivi kivi) {
    return keyScaleOffset(kivi) + HALF * (pageTokens() / kivi.group()) * headDim;
  }

  public int valueCodeOffset(CachePolicy.Kivi kivi) {
    return keyZeroOffset(kivi) + HALF * (pageTokens() / kivi.group()) * headDim;
  }

  public int valueScaleOffset(CachePolicy.Kivi kivi) {
    return valueCodeOffset(kivi) + WORD * (pageTokens() / codesPerWord(kivi.valueBits())) * headDim;
  }

  public int valueZeroOffset(CachePolicy.Kivi kivi) {
    return valueScaleOffset(kivi) + HALF * valueGroups(kivi) * pageTokens();
  }

  /** Where V begins in an fp16 page's head part. */
  public int fp16ValueOffset() {
    return HALF * pageTokens() * headDim;
  }

  /** Parts of a window slot's head part: sink K at 0, then these. */
  public int sinkValueOffset(CachePolicy.Kivi kivi) {
    return HALF * headDim * kivi.sink();
  }

  public int windowKeyOffset(CachePolicy.Kivi kivi) {
    return HALF * headDim * 2 * kivi.sink();
  }

  public int windowValueOffset(CachePolicy.Kivi kivi) {
    return HALF * headDim * (2 * kivi.sink() + kivi.window());
  }

  /** Tokens after the sink whose K is in pages, once {@code length} tokens are cached. */
  public int keysInPages(int length) {
    if (policy instanceof CachePolicy.Kivi kivi) {
      int beyondSink = Math.max(0, length - kivi.sink());
      return beyondSink - beyondSink % kivi.window();
    }
    return length;
  }

  /** Tokens after the sink whose V is in pages, once {@code length} tokens are cached. */
  public int valuesInPages(int length) {
    if (policy instanceof CachePolicy.Kivi kivi) {
      return Math.max(0, length - kivi.sink() - kivi.window());
    }
    return length;
  }

  /** Pages per layer that a sequence of {@code length} cached tokens holds. */
  public int pagesPerLayer(int length) {
    return ceilDiv(Math.max(keysInPages(length), valuesInPages(length)), pageTokens());
  }

  /**
   * Pages per layer, the first ones, whose K and V are both there once {@code length} tokens are
   * cached: nothing that follows writes them again.
   */
  public int completePages(int length) {
    return Math.min(keysInPages(length), valuesInPages(length)) / pageTokens();
  }

  /** Tokens up to the end of page {@code pages} − 1, those of the sink included. */
  public int tokensBefore(int pages) {
    int sink = policy instanceof CachePolicy.Kivi kivi ? kivi.sink() : 0;
    return pages == 0 ? 0 : sink + pages * pageTokens();
  }

  /** Pages per layer that hold tokens below position {@code tokens} alone. */
  public int pagesEndingBy(int tokens) {
    int sink = policy instanceof CachePolicy.Kivi kivi ? kivi.sink() : 0;
    return Math.max(0, tokens - sink) / pageTokens();
  }

  /** Prompts are cut, and shared, at multiples of this: whole pages and whole staging pages. */
  public int promptAlignment() {
    int pageTokens = pageTokens();
    int tokens = pageTokens;
    while (tokens % MIN_PAGE_TOKENS != 0) {
      tokens += pageTokens;
    }
    return tokens;
  }

  /** All bytes that a sequence of {@code length} cached tokens holds. */
  public long sequenceBytes(int length) {
    return windowBytes() + (long) layers * pagesPerLayer(length) * pageBytes();
  }

  /** Words of K per token: ceil(D / P). */
  public int keyWords(CachePolicy.Kivi kivi) {
    return ceilDiv(headDim, codesPerWord(kivi.keyBits()));
  }

  /** Groups of V per token: ceil(D / group). */
  public int valueGroups(CachePolicy.Kivi kivi) {
    return ceilDiv(headDim, kivi.group());
  }

  public static int codesPerWord(int bits) {
    return 32 / bits;
  }

  private static int ceilDiv(int a, int b) {
    return (a + b - 1) / b;
  }
}
