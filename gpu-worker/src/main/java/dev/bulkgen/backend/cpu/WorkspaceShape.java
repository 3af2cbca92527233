package dev.bulkgen.backend.cpu;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelConfig;

/** How large every buffer of the forward pass is; widths are padded to whole vectors. */
record WorkspaceShape(ModelConfig model, CacheLayout layout, CacheCapacity capacity, int threads) {
  /** Rows that go through a layer together; bounds the intermediates of a long prefill. */
  static final int ROW_BLOCK = 256;

  /** Rows whose logits are computed together. */
  static final int LOGIT_ROWS = 64;

  /** Tiles of queries, counted for each head, of a prefill task: what is widened serves all. */
  private static final int QUERY_TILES = 4;

  /** Scores of a prefill task, as long as they are more than one tile's: 2 MiB. */
  private static final int PROMPT_SCORES = 1 << 19;

  private static final int SPLIT_TOKENS = 512;

  /** The next multiple of a vector. */
  static int padded(int width) {
    return (width + CpuKernels.LANES - 1) / CpuKernels.LANES * CpuKernels.LANES;
  }

  private static int ceilDiv(int a, int b) {
    return (a + b - 1) / b;
  }

  int maxRows() {
    return Math.addExact(capacity.prefillTokens(), capacity.slots());
  }

  int blockRows() {
    return Math.min(ROW_BLOCK, maxRows());
  }

  int logitRows() {
    return Math.min(LOGIT_ROWS, maxRows());
  }

  int hiddenStride() {
    return padded(model.hiddenSize());
  }

  int queryStride() {
    return padded(model.attention().queryWidth());
  }

  int kvStride() {
    return padded(model.attention().kvWidth());
  }

  int innerStride() {
    return padded(model.intermediateSize());
  }

  int logitStride() {
    return oddVectors(model.vocabSize());
  }

  /**
   * An odd number of vectors: vocabularies and contexts are multiples of large powers of two, and
   * rows that far apart would fall into the same few lines of the caches.
   */
  private static int oddVectors(int width) {
    return (padded(width) / CpuKernels.LANES | 1) * CpuKernels.LANES;
  }

  /** Floats for the rows of any product's x, see {@link CpuKernels#stageRows}. */
  int stagedRows() {
    int widest = Math.max(hiddenStride(), Math.max(queryStride(), innerStride()));
    long rows = (long) ceilDiv(blockRows(), CpuKernels.STAGED_ROWS) * CpuKernels.STAGED_ROWS;
    return length("rows of a product", LineAligned.FIRST + rows * widest);
  }

  int headDim() {
    return model.attention().headDim();
  }

  int valuePanels() {
    return ceilDiv(headDim(), CpuKernels.LANES);
  }

  /** Tiles of K and V that all prompts of a step fill at the most, each its own last one. */
  int promptTiles() {
    return capacity.prefillTokens() / CacheLayout.TOKEN_TILE + capacity.slots();
  }

  /** From one row of a prefill task's scores to the next. */
  int promptColumns() {
    return oddVectors(capacity.contextTokens());
  }

  /** Tiles of one head's queries that a prefill task's scores hold. */
  private int promptScoreTiles() {
    int fit = PROMPT_SCORES / CacheLayout.TOKEN_TILE / promptColumns();
    return Math.max(1, Math.min(QUERY_TILES, fit));
  }

  /** The most query heads of a prefill task. */
  int promptHeads() {
    return Math.min(model.attention().groupSize(), promptScoreTiles());
  }

  /** The most tiles of queries of a prefill task. */
  int promptQueryTiles() {
    return promptScoreTiles() / promptHeads();
  }

  /** Rows of a prefill task's scores: queries of its heads. */
  int promptScoreRows() {
    return promptHeads() * promptQueryTiles() * CacheLayout.TOKEN_TILE;
  }

  /** Floats of one K/V head's part, K or V, of a page of exact tokens. */
  int pagePanelFloats() {
    return ExactPages.TOKENS * padded(headDim());
  }

  int sink() {
    return layout.policy() instanceof CachePolicy.Kivi kivi ? kivi.sink() : 0;
  }

  /** Tokens after the sink of one split of the context, a whole number of pages. */
  int splitTokens() {
    return ceilDiv(SPLIT_TOKENS, layout.pageTokens()) * layout.pageTokens();
  }

  /** Columns of a decode task's scores: the first split takes the sink too. */
  int splitColumns() {
    return sink() + splitTokens();
  }

  /** Splits of a sequence of {@code length} tokens. */
  int splits(int length) {
    return Math.max(1, ceilDiv(Math.max(0, length - sink()), splitTokens()));
  }

  /**
   * Splits that are computed together, those of one sequence at least. Without shared pages it is
   * those of all sequences: what lies in pages, and for each its window and a rest.
   */
  long maxSplits() {
    int window = layout.policy() instanceof CachePolicy.Kivi kivi ? kivi.window() + 1 : 0;
    long paged = (long) capacity.pages() / layout.layers() * layout.pageTokens();
    long all = paged / splitTokens() + (long) capacity.slots() * (2 + window / splitTokens());
    return Math.max(all, splits(capacity.contextTokens()));
  }

  /** float16 of one K/V head that a decode task stages at once. */
  int stagedHalves() {
    return layout.pageTokens() * headDim();
  }

  /** Words of one K/V head's part of a page that a decode task stages at once. */
  int stagedWords() {
    if (layout.policy() instanceof CachePolicy.Kivi kivi) {
      int perWord = CacheLayout.codesPerWord(kivi.valueBits());
      int values = layout.pageTokens() / perWord * headDim();
      return Math.max(layout.keyWords(kivi) * layout.pageTokens(), values);
    }
    return 0;
  }

  /** Scales and zeros that go with the words. */
  int stagedScales() {
    if (layout.policy() instanceof CachePolicy.Kivi kivi) {
      int keys = layout.pageTokens() / kivi.group() * headDim();
      return 2 * Math.max(keys, layout.valueGroups(kivi) * layout.pageTokens());
    }
    return 0;
  }

  int valueGroups() {
    return layout.policy() instanceof CachePolicy.Kivi kivi ? layout.valueGroups(kivi) : 0;
  }

  boolean hasMlpNorm() {
    return model.block() == BlockForm.PARALLEL_TWO_NORMS;
  }

  boolean isGated() {
    return model.mlp() == MlpForm.SILU_GATED;
  }

  /** Bytes of all buffers. */
  long bytes() {
    long heads = model.attention().queryHeads();
    long kvHeads = model.attention().kvHeads();
    long floats = (long) maxRows() * (hiddenStride() + headDim() / 2 * 2);
    long blockWidth = 2L * hiddenStride() + (hasMlpNorm() ? hiddenStride() : 0);
    blockWidth += 2L * queryStride() + 2L * kvStride() + (isGated() ? 2L : 1L) * innerStride();
    floats += blockRows() * blockWidth;
    floats += stagedRows() + (long) logitRows() * logitStride();
    floats += kvHeads * promptTiles() * CacheLayout.TOKEN_TILE * headDim();
    floats += kvHeads * promptTiles() * CacheLayout.TOKEN_TILE * padded(headDim());
    floats += maxSplits() * heads * (headDim() + 2);
    return Float.BYTES * floats + threads * workerBytes();
  }

  private long workerBytes() {
    int heads = model.attention().groupSize();
    long floats = (long) promptScoreRows() * (promptColumns() + padded(headDim()));
    floats += pagePanelFloats();
    floats += (long) heads * (splitColumns() + 2 * headDim() + valueGroups());
    return Float.BYTES * (floats + stagedWords())
        + (long) Short.BYTES * (stagedHalves() + stagedScales())
        + CacheWriter.workspaceBytes(layout);
  }

  /** Length of an array, for which the JVM has an end of its own. */
  static int length(String what, long... factors) {
    long product = 1;
    for (long factor : factors) {
      product = Math.multiplyExact(product, factor);
    }
    if (product > Integer.MAX_VALUE - 8) {
      throw BulkgenException.of(
          ErrorCode.MEMORY_PLAN_REFUSED,
          "cpu workspace: %s would have %d elements, an array holds 2^31 - 9; allow fewer prompt"
              + " tokens a step",
          what,
          product);
    }
    return (int) product;
  }
}
