package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelConfig;

/**
 * How large every buffer of the forward pass on a device is: what the memory plan counts and what
 * {@link CudaWorkspace} takes. Widths that a product reads are padded with zeros to its depth step.
 *
 * @param pieces of an activation that goes into a product: 1 rounded, 2 with the rounded rest
 * @param weightPieces of a weight: 1 for 16-bit checkpoints, else 2
 */
record CudaShape(
    ModelConfig model,
    CacheLayout layout,
    CacheCapacity capacity,
    int pieces,
    int weightPieces,
    GemmChoice gemm) {
  /** Rows that go through a layer together; bounds the intermediates of a long prefill. */
  private static final int ROW_BLOCK = 4096;

  /** Rows whose logits are computed together. */
  private static final int LOGIT_ROWS = 256;

  /** So many rows of a head's product cost little more than one. */
  private static final int SCORED_ROWS = 64;

  private static final int DEPTH_STEP = 64;
  private static final int HALF = 2;

  /** Rows whose sums stand in memory for an epilogue of their own. */
  private static final int SUM_ROWS = 1024;

  /** What cuBLAS takes by itself, workspace and code, about: its allocations are not ours. */
  private static final long CUBLAS_BYTES = 64L << 20;

  /** A byte, and a multiple of 4, for each part that a model does without. */
  private static final int EMPTY_PARTS = 64;

  /** Rows of a decode step stand in a grid's second or third dimension, which ends here. */
  static final int MOST_SLOTS = 65_535;

  /**
   * @throws BulkgenException MODEL_UNSUPPORTED for heads that the kernels do not take,
   *     SETTING_INVALID for two pieces with cuBLAS, SETTING_INVALID or MEMORY_PLAN_REFUSED where
   *     grids or the numbers of pages would not hold so many sequences
   */
  CudaShape {
    if (gemm == GemmChoice.CUBLAS && Math.max(pieces, weightPieces) > 1) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID,
          "gemm: cublas multiplies 16-bit weights with dtype auto alone, this takes two numbers for"
              + " each %s; leave gemm at own",
          weightPieces > 1 ? "weight" : "activation");
    }
    if (!CacheKernels.takes(layout)) {
      throw BulkgenException.of(
          ErrorCode.MODEL_UNSUPPORTED,
          "heads of %d do not run on CUDA, which takes multiples of %d up to %d; use --backend cpu",
          layout.headDim(),
          CacheKernels.CHANNELS,
          CacheKernels.MOST_HEAD_DIM);
    }
    if (capacity.slots() > MOST_SLOTS) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID,
          "max-batch: %d is more than the %d sequences that a CUDA device runs at once",
          capacity.slots(),
          MOST_SLOTS);
    }
    int length = capacity.contextTokens();
    int pages = Math.max(layout.pagesPerLayer(length), layout.staging().pagesPerLayer(length));
    double entries = (double) capacity.slots() * layout.layers() * pages;
    if (entries > Integer.MAX_VALUE) {
      throw BulkgenException.of(
          ErrorCode.MEMORY_PLAN_REFUSED,
          "the page table of %d sequences of %d tokens in %d layers has %.0f entries, more than %d:"
              + " lower max-batch to %d, or max-model-len",
          capacity.slots(),
          length,
          layout.layers(),
          entries,
          Integer.MAX_VALUE,
          Integer.MAX_VALUE / ((long) layout.layers() * pages));
    }
  }

  /** Activations of a model whose weights lie in two pieces have two as well. */
  static CudaShape of(
      ModelConfig model,
      CacheLayout layout,
      CacheCapacity capacity,
      int weightPieces,
      Precision precision,
      GemmChoice gemm) {
    int pieces = Math.max(precision.pieces(), weightPieces);
    return new CudaShape(model, layout, capacity, pieces, weightPieces, gemm);
  }

  /** Prompt tokens of a step, or decoding sequences. */
  int maxRows() {
    return Math.max(capacity.prefillTokens(), capacity.slots());
  }

  int blockRows() {
    return Math.max(Math.min(ROW_BLOCK, capacity.prefillTokens()), capacity.slots());
  }

  /** For a draw of all sequences; for prompts that are scored no fewer than pay. */
  int logitRows() {
    int scored = Math.min(SCORED_ROWS, capacity.prefillTokens());
    return Math.min(LOGIT_ROWS, Math.max(capacity.slots(), scored));
  }

  int hiddenStride() {
    return depth(model.hiddenSize());
  }

  int queryWidth() {
    return model.attention().queryWidth();
  }

  int kvWidth() {
    return model.attention().kvWidth();
  }

  /** Queries, keys and values of a row side by side. */
  int qkvStride() {
    return queryWidth() + 2 * kvWidth();
  }

  int attendedStride() {
    return depth(queryWidth());
  }

  int innerStride() {
    return depth(model.intermediateSize());
  }

  /** Columns of gate, or of up: rows of the two alternate by eights. */
  int innerColumns() {
    return isGated() ? (model.intermediateSize() + 7) / 8 * 8 : model.intermediateSize();
  }

  int logitStride() {
    return depth(model.vocabSize());
  }

  boolean isGated() {
    return model.mlp() == MlpForm.SILU_GATED;
  }

  int sink() {
    return layout.policy() instanceof CachePolicy.Kivi kivi ? kivi.sink() : 0;
  }

  /** Longest sequence. */
  int maxLength() {
    return capacity.contextTokens();
  }

  /** Pages of one layer that a sequence may hold. */
  int maxPages() {
    return Math.max(1, layout.pagesPerLayer(maxLength()));
  }

  /** Staging pages of one layer that a sequence may hold. */
  int maxStagingPages() {
    return capacity.stagingPages() == 0 ? 0 : layout.staging().pagesPerLayer(maxLength());
  }

  int maxSplits() {
    return splits(maxLength());
  }

  /** Splits of the context of a sequence of {@code length} tokens. */
  int splits(int length) {
    int tokens = DecodeAttentionKernels.splitTokens(layout);
    return Math.max(1, (Math.max(0, length - sink()) + tokens - 1) / tokens);
  }

  private static int depth(int width) {
    return (width + DEPTH_STEP - 1) / DEPTH_STEP * DEPTH_STEP;
  }

  // Bytes of the buffers, in the order in which a row passes them.

  long hiddenBytes() {
    return (long) Float.BYTES * maxRows() * hiddenStride();
  }

  long brokenBytes() {
    return (long) Integer.BYTES * maxRows();
  }

  long qkvBytes() {
    return (long) Float.BYTES * blockRows() * qkvStride();
  }

  long queryBytes() {
    return (long) Float.BYTES * blockRows() * queryWidth();
  }

  /** K, or V, of all prompt tokens of a step, of one layer. */
  long promptKeyBytes() {
    return (long) HALF * capacity.prefillTokens() * kvWidth();
  }

  long logitBytes() {
    return (long) Float.BYTES * logitRows() * logitStride();
  }

  long partialOutBytes() {
    return (long) Float.BYTES * capacity.slots() * maxSplits() * queryWidth();
  }

  /** Of the maxima, or the sums, of the splits. */
  long partialSumBytes() {
    AttentionShape attention = model.attention();
    return (long) Float.BYTES * capacity.slots() * maxSplits() * attention.queryHeads();
  }

  long cosSinBytes() {
    return (long) Float.BYTES * maxLength() * model.attention().headDim();
  }

  long pageTableBytes() {
    return (long) Integer.BYTES * capacity.slots() * layout.layers() * maxPages();
  }

  long stagingTableBytes() {
    return (long) Integer.BYTES * capacity.slots() * layout.layers() * maxStagingPages();
  }

  long countBytes() {
    return (long) Short.BYTES * capacity.slots() * model.vocabSize();
  }

  /** Where the score of a row of a pass is among the results, behind those of all slots. */
  int scoredResult(int row) {
    return capacity.slots() + row;
  }

  /** A number for every slot that draws and for every prompt token that is scored. */
  long resultBytes() {
    return (long) Integer.BYTES * (capacity.slots() + capacity.prefillTokens());
  }

  /** A number for each of the likeliest tokens that a slot may list. */
  long topBytes() {
    return (long) Integer.BYTES * capacity.slots() * SamplingKernels.MOST_TOP_TOKENS;
  }

  long pageBytes() {
    return (long) capacity.pages() * layout.pageBytes();
  }

  long windowBytes() {
    return (long) capacity.slots() * layout.windowBytes();
  }

  long stagingBytes() {
    return (long) capacity.stagingPages() * layout.staging().pageBytes();
  }

  /** Pages, windows and staging. */
  long cacheBytes() {
    return pageBytes() + windowBytes() + stagingBytes();
  }

  /** Of the host, for pages of sequences that are swapped out. */
  long swapPageBytes() {
    return (long) capacity.swapPages() * layout.pageBytes();
  }

  long swapWindowBytes() {
    return (long) capacity.swapSlots() * layout.windowBytes();
  }

  /** Sums of prompts that another library leaves to be finished. */
  long promptSumBytes() {
    if (gemm == GemmChoice.OWN) {
      return 0;
    }
    int inner = (isGated() ? 2 : 1) * innerColumns();
    long widest = Math.max(Math.max(qkvStride(), model.hiddenSize()), inner);
    return Float.BYTES * widest * Math.min(SUM_ROWS, blockRows());
  }

  long pieceBytes(int rows, int stride) {
    return (long) HALF * pieces * rows * stride;
  }

  /** What the products of a layer and of the head need beside their operands. */
  MatmulNeeds productNeeds() {
    int hidden = model.hiddenSize();
    int inner = (isGated() ? 2 : 1) * innerColumns();
    return needs(blockRows(), qkvStride(), hiddenStride())
        .or(needs(blockRows(), hidden, attendedStride()))
        .or(needs(blockRows(), inner, hiddenStride()))
        .or(needs(blockRows(), hidden, innerStride()))
        .or(needs(logitRows(), model.vocabSize(), hiddenStride()));
  }

  private MatmulNeeds needs(int rows, int columns, int depth) {
    return MatmulPlan.needs(rows, columns, depth, pieces * weightPieces);
  }

  /**
   * Matrices, biases, norms and rotation angles; a little more where the model does without some.
   */
  long weightBytes() {
    long hidden = model.hiddenSize();
    long inner = (isGated() ? 2L : 1L) * innerColumns();
    long numbers =
        (long) qkvStride() * hiddenStride()
            + hidden * attendedStride()
            + inner * hiddenStride()
            + hidden * innerStride();
    long floats = qkvStride() + inner + 6 * hidden + 2L * model.attention().headDim();
    int ends = model.tiedEmbeddings() ? 1 : 2;
    numbers = model.layerCount() * numbers + (long) ends * model.vocabSize() * hiddenStride();
    return HALF * weightPieces * numbers
        + Float.BYTES * (model.layerCount() * floats + 2 * hidden)
        + cosSinBytes();
  }

  /** Activations, tables and partial sums: all but weights, logits and the cache. */
  long workspaceBytes() {
    return pageTableBytes()
        + stagingTableBytes()
        + countBytes()
        + 2 * resultBytes()
        + 2 * topBytes()
        + hiddenBytes()
        + brokenBytes()
        + qkvBytes()
        + queryBytes()
        + 2 * promptKeyBytes()
        + partialOutBytes()
        + 2 * partialSumBytes()
        + productNeeds().bytes()
        + pieceBytes(blockRows(), hiddenStride())
        + pieceBytes(blockRows(), attendedStride())
        + pieceBytes(blockRows(), innerStride())
        + pieceBytes(logitRows(), hiddenStride())
        + promptSumBytes()
        + (gemm == GemmChoice.CUBLAS ? CUBLAS_BYTES : 0)
        + tableBytes()
        + EMPTY_PARTS;
  }

  private long tableBytes() {
    long ints = PromptPass.tableInts(this) + DecodePass.tableInts(this);
    return Integer.BYTES * ints
        + DeviceCache.bytes()
        + TokenCounter.bytes()
        + DeviceSampler.bytes(logitRows());
  }
}
