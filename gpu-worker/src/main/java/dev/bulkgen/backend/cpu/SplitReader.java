package dev.bulkgen.backend.cpu;

import static dev.bulkgen.cache.CacheLayout.TOKEN_TILE;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import java.util.Arrays;

/**
 * Reads one split of one K/V head from wherever its tokens are: sink, pages, window. The keys and
 * the values of a token may be in different places. Columns of the scores are tokens in their
 * order; the sink stands before the first split's own tokens. Belongs to one worker.
 */
final class SplitReader {
  private static final int HALF = Short.BYTES;

  private final Workspace.Worker scratch;
  private final WorkspaceShape shape;
  private final CpuKernels kernels;
  private final CacheLayout layout;
  private final CachePolicy.Kivi kivi;
  private final int heads;
  private final int headDim;
  private final int pageTokens;
  private final int scoreStride;

  SplitReader(Workspace.Worker scratch, WorkspaceShape shape, CpuKernels kernels) {
    this.scratch = scratch;
    this.shape = shape;
    this.kernels = kernels;
    layout = shape.layout();
    kivi = layout.policy() instanceof CachePolicy.Kivi policy ? policy : null;
    heads = shape.model().attention().groupSize();
    headDim = shape.headDim();
    pageTokens = layout.pageTokens();
    scoreStride = shape.splitColumns();
  }

  /**
   * Scores of a split for the worker's query.
   *
   * @param length tokens of the sequence, the current one included; its own K and V are there, and
   *     nothing is flushed since
   * @return how many columns are tokens
   */
  int scores(CpuCacheStore.Part part, int length, int split) {
    int sink = split == 0 ? Math.min(shape.sink(), length) : 0;
    if (sink > 0) {
      exactKeys(part, 0, sink, 0);
    }
    int start = split * shape.splitTokens();
    int end = Math.min(start + shape.splitTokens(), length - shape.sink());
    // A negative column would mean a token of the sink; there is none behind it then.
    if (end <= start) {
      return sink;
    }
    int column = split == 0 ? shape.sink() : 0;
    int paged = Math.min(end, kivi == null ? length : layout.keysInPages(length - 1));
    for (int j = start; j < paged; j += pageTokens) {
      int tokens = Math.min(pageTokens, paged - j);
      if (kivi == null) {
        fp16PageKeys(part, j / pageTokens, tokens, column + j - start);
      } else {
        codedKeys(part, j / pageTokens, tokens, column + j - start);
      }
    }
    int exact = Math.max(start, paged);
    if (exact < end) {
      int at = layout.windowKeyOffset(kivi) + exact % kivi.window() * headDim * HALF;
      exactKeys(part, at, end - exact, column + exact - start);
    }
    return column + end - start;
  }

  /** Whole tiles of float16 keys of the window slot, from byte {@code at} on. */
  private void exactKeys(CpuCacheStore.Part part, int at, int tokens, int column) {
    for (int t = 0; t < tokens; t += pageTokens) {
      int tiles = (Math.min(pageTokens, tokens - t) + TOKEN_TILE - 1) / TOKEN_TILE;
      part.readWindow(at + t * headDim * HALF, scratch.halves, 0, tiles * TOKEN_TILE * headDim);
      tileScores(tiles, column + t);
    }
  }

  private void fp16PageKeys(CpuCacheStore.Part part, int page, int tokens, int column) {
    int tiles = (tokens + TOKEN_TILE - 1) / TOKEN_TILE;
    part.readPage(page, 0, scratch.halves, 0, tiles * TOKEN_TILE * headDim);
    tileScores(tiles, column);
  }

  private void tileScores(int tiles, int column) {
    kernels.fp16Scores(
        scratch.query,
        heads,
        headDim,
        scratch.halves,
        0,
        tiles,
        scratch.scores,
        column,
        scoreStride);
  }

  /** {@code tokens} is a multiple of the group: keys are quantized by whole windows. */
  private void codedKeys(CpuCacheStore.Part part, int page, int tokens, int column) {
    int group = kivi.group();
    int groups = tokens / group;
    int wordsPerGroup = layout.keyWords(kivi) * group;
    int zeros = pageTokens / group * headDim;
    part.readPage(page, 0, scratch.words, 0, groups * wordsPerGroup);
    part.readPage(page, layout.keyScaleOffset(kivi), scratch.scales, 0, groups * headDim);
    part.readPage(page, layout.keyZeroOffset(kivi), scratch.scales, zeros, groups * headDim);
    for (int g = 0; g < groups; g++) {
      kernels.codedScores(
          scratch.query,
          heads,
          headDim,
          kivi.keyBits(),
          group,
          scratch.words,
          g * wordsPerGroup,
          scratch.scales,
          g * headDim,
          scratch.scales,
          zeros + g * headDim,
          scratch.scores,
          column + g * group,
          scoreStride);
    }
  }

  /** Sums the split's values, weighted by what {@link #scores} left after the exponential. */
  void values(CpuCacheStore.Part part, int length, int split) {
    Arrays.fill(scratch.values, 0f);
    Arrays.fill(scratch.zeroSums, 0f);
    int sink = split == 0 ? Math.min(shape.sink(), length) : 0;
    if (sink > 0) {
      exactValues(part, layout.sinkValueOffset(kivi), sink, 0);
    }
    int start = split * shape.splitTokens();
    int end = Math.min(start + shape.splitTokens(), length - shape.sink());
    int column = split == 0 ? shape.sink() : 0;
    int paged = Math.min(end, kivi == null ? length : layout.valuesInPages(length - 1));
    for (int j = start; j < paged; j += pageTokens) {
      int tokens = Math.min(pageTokens, paged - j);
      if (kivi == null) {
        int count = tokens * headDim;
        part.readPage(j / pageTokens, layout.fp16ValueOffset(), scratch.halves, 0, count);
        rowValues(tokens, column + j - start);
      } else {
        codedValues(part, j / pageTokens, tokens, column + j - start);
      }
    }
    if (kivi != null) {
      windowValues(part, Math.max(start, paged), end, column - start);
      addZeroSums();
    }
  }

  /** Values of tokens [j, end) in the ring of the window; the ring's end cuts a run in two. */
  private void windowValues(CpuCacheStore.Part part, int j, int end, int columnOfFirst) {
    int slots = kivi.window() + 1;
    while (j < end) {
      int slot = j % slots;
      int run = Math.min(end - j, slots - slot);
      int at = layout.windowValueOffset(kivi) + slot * headDim * HALF;
      exactValues(part, at, run, columnOfFirst + j);
      j += run;
    }
  }

  private void exactValues(CpuCacheStore.Part part, int at, int tokens, int column) {
    for (int t = 0; t < tokens; t += pageTokens) {
      int run = Math.min(pageTokens, tokens - t);
      part.readWindow(at + t * headDim * HALF, scratch.halves, 0, run * headDim);
      rowValues(run, column + t);
    }
  }

  private void rowValues(int tokens, int column) {
    kernels.fp16Values(
        scratch.scores,
        column,
        scoreStride,
        heads,
        headDim,
        scratch.halves,
        0,
        tokens,
        scratch.values,
        headDim);
  }

  private void codedValues(CpuCacheStore.Part part, int page, int tokens, int column) {
    int perWord = CacheLayout.codesPerWord(kivi.valueBits());
    int words = (tokens + perWord - 1) / perWord * headDim;
    int scales = layout.valueGroups(kivi) * pageTokens;
    part.readPage(page, layout.valueCodeOffset(kivi), scratch.words, 0, words);
    // Scales and zeros stand side by side in the page.
    part.readPage(page, layout.valueScaleOffset(kivi), scratch.scales, 0, 2 * scales);
    kernels.codedValues(
        scratch.scores,
        column,
        scoreStride,
        heads,
        headDim,
        kivi.valueBits(),
        kivi.group(),
        scratch.words,
        0,
        scratch.scales,
        0,
        scratch.scales,
        scales,
        pageTokens,
        tokens,
        scratch.values,
        headDim,
        scratch.zeroSums);
  }

  private void addZeroSums() {
    int groups = shape.valueGroups();
    for (int h = 0; h < heads; h++) {
      for (int d = 0; d < headDim; d++) {
        scratch.values[h * headDim + d] += scratch.zeroSums[h * groups + d / kivi.group()];
      }
    }
  }
}
