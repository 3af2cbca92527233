package dev.bulkgen.backend.cuda;

import static dev.bulkgen.cache.CacheLayout.TOKEN_TILE;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;

/**
 * Shared memory of a decode attention block, as decode_state.cuh, decode_exact.cuh and
 * decode_coded.cuh divide it: a header, the query's fragments, and a part for each warp.
 */
final class DecodeShared {
  private static final int HEADER = 192;
  private static final int WARPS = 4;
  private static final int LANES = 32;
  private static final int HEADS = 8;
  private static final int COPY = 16;
  private static final int HALF = 2;
  private static final int FLOAT = 4;
  private static final int WORD = 4;
  private static final int MOST = 99 << 10;
  private static final int QUAD = 4;
  private static final int MOST_VALUE_GROUPS = 16;
  private static final int OUT_PADDING = 4;

  private DecodeShared() {}

  static int bytes(CacheLayout layout, int pieces) {
    int headDim = layout.headDim();
    int ordered = pieces * ceilDiv(headDim, TOKEN_TILE) * LANES * 2 * WORD;
    int merge = (HEADS * (headDim + OUT_PADDING + MOST_VALUE_GROUPS) + 2 * HEADS) * FLOAT;
    if (layout.policy() instanceof CachePolicy.Kivi kivi) {
      int query = HEADER + ordered + codedQueryBytes(headDim, kivi, pieces);
      int stage = stageBytes(layout, kivi, pieces);
      boolean fits = query + WARPS * 2 * stage <= MOST;
      int warp = stage + (fits ? stage : valueAreaBytes(headDim));
      return query + WARPS * Math.max(warp, merge);
    }
    int exact = TOKEN_TILE * headDim * HALF + valueAreaBytes(headDim);
    return HEADER + ordered + WARPS * Math.max(exact, merge);
  }

  private static int valueAreaBytes(int headDim) {
    return TOKEN_TILE * (headDim / 8 | 1) * COPY + COPY;
  }

  private static int codedQueryBytes(int headDim, CachePolicy.Kivi kivi, int pieces) {
    int perWord = CacheLayout.codesPerWord(kivi.keyBits());
    return ceilDiv(headDim, QUAD * perWord) * perWord / 2 * LANES * WORD * pieces;
  }

  private static int stageBytes(CacheLayout layout, CachePolicy.Kivi kivi, int pieces) {
    int headDim = layout.headDim();
    int tokens = QUAD * CacheLayout.codesPerWord(kivi.valueBits());
    int spans = ceilDiv(headDim, QUAD * CacheLayout.codesPerWord(kivi.keyBits()));
    int keyCodes = Math.max(spans * QUAD * tokens * WORD, pieces * tokens * HEADS * HALF);
    int keyScales = tileGroups(tokens, kivi.group()) * 2 * HALF * headDim;
    int valueCodes = QUAD * ceilDiv(headDim, LANES) * LANES * WORD;
    int valueScales = 2 * layout.valueGroups(kivi) * (tokens * HALF + COPY);
    return Math.max(keyCodes + keyScales + valueCodes + valueScales, valueAreaBytes(headDim));
  }

  private static int tileGroups(int tokens, int group) {
    if (tokens % group == 0) {
      return tokens / group;
    }
    return group % tokens == 0 ? 1 : ceilDiv(tokens + group - TOKEN_TILE, group);
  }

  private static int ceilDiv(int a, int b) {
    return (a + b - 1) / b;
  }
}
