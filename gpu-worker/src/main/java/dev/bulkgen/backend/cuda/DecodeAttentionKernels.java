package dev.bulkgen.backend.cuda;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.AttentionShape;

/**
 * Launches the attention of one new token a row to its cached context: splits at fixed positions,
 * then their merge.
 */
public final class DecodeAttentionKernels {
  private static final int SPLIT_TOKENS = 512;
  private static final int BLOCK_HEADS = 8;
  private static final int MOST_NARROW_HEAD_DIM = 128;

  private final AttentionShape attention;
  private final CacheLayout layout;
  private final int pieces;
  private final int sharedBytes;
  private final Kernel attendKernel;
  private final Kernel mergeKernel;
  private final KernelArguments attendArguments;
  private final KernelArguments mergeArguments;

  /**
   * Rows of a decode step, by address.
   *
   * @param query [count][queryHeads][headDim] float, times log2(e) / √headDim
   * @param positions [count] int of the new tokens, whose K and V are in the cache; −1: no row
   * @param slots [count] int
   */
  public record Rows(int count, long query, long positions, long slots) {}

  /**
   * Results of splits, by address.
   *
   * @param splits of the longest context that they have room for
   * @param out [rows][splits][queryHeads][headDim] float
   * @param max [rows][splits][queryHeads] float
   * @param sum likewise
   */
  public record Partials(int splits, long out, long max, long sum) {}

  /**
   * @param pieces of queries and probabilities: 1 for float16, 2 for about float's precision
   * @throws BulkgenException INTERNAL if no kernel takes the heads
   */
  public DecodeAttentionKernels(
      KernelLibrary kernels, AttentionShape attention, CacheLayout layout, int pieces) {
    CacheKernels.requireHeads(layout);
    if (attention.headDim() != layout.headDim() || attention.kvHeads() != layout.kvHeads()) {
      throw BulkgenException.of(ErrorCode.INTERNAL, "%s on a cache of %s", attention, layout);
    }
    this.attention = attention;
    this.layout = layout;
    this.pieces = pieces;
    attendKernel = kernels.kernel(kernelName(layout));
    mergeKernel = kernels.kernel("merge_splits");
    sharedBytes = DecodeShared.bytes(layout, pieces);
    int window = attention.slidingWindow().orElse(0);
    attendArguments =
        attendKernel
            .arguments()
            .set("queryHeads", attention.queryHeads())
            .set("splitTokens", splitTokens(layout))
            .set("slidingWindow", window)
            .set("pieces", pieces);
    mergeArguments =
        mergeKernel
            .arguments()
            .set("sink", sink())
            .set("queryHeads", attention.queryHeads())
            .set("headDim", attention.headDim())
            .set("splitTokens", splitTokens(layout))
            .set("slidingWindow", window);
  }

  private static String kernelName(CacheLayout layout) {
    String wide = layout.headDim() > MOST_NARROW_HEAD_DIM ? "_wide" : "";
    if (layout.policy() instanceof CachePolicy.Kivi kivi) {
      return "decode_attention_kivi_k" + kivi.keyBits() + "v" + kivi.valueBits() + wide;
    }
    return "decode_attention_fp16" + wide;
  }

  private int sink() {
    return layout.policy() instanceof CachePolicy.Kivi kivi ? kivi.sink() : 0;
  }

  /** Tokens of a split: a whole number of pages, the same whatever the batch. */
  public static int splitTokens(CacheLayout layout) {
    return SPLIT_TOKENS / layout.pageTokens() * layout.pageTokens();
  }

  /** Splits of a context of {@code tokens} tokens, the new one included. */
  public int splits(int tokens) {
    int splitTokens = splitTokens(layout);
    int beyondSink = Math.max(0, tokens - sink());
    return Math.max(1, (beyondSink + splitTokens - 1) / splitTokens);
  }

  /** Numbers of {@link Partials#out}; of max and sum a headDim-th each. */
  public long partialCount(int rows, int splits) {
    return (long) rows * splits * attention.queryWidth();
  }

  /** Attends in {@code layer}; every row's context has at most the splits of {@code partials}. */
  public void attend(
      CudaStream stream, CudaCacheView cache, int layer, Rows rows, Partials partials) {
    cache.fill(attendArguments, layer);
    attendArguments
        .setAddress("query", rows.query)
        .setAddress("positions", rows.positions)
        .setAddress("slots", rows.slots)
        .setAddress("partialOut", partials.out)
        .setAddress("partialMax", partials.max)
        .setAddress("partialSum", partials.sum)
        .set("maxSplits", partials.splits);
    int headBlocks = (attention.groupSize() + BLOCK_HEADS - 1) / BLOCK_HEADS;
    Grid grid = Grid.of(partials.splits, layout.kvHeads() * headBlocks, rows.count);
    attendKernel.launch(stream, grid, sharedBytes, attendArguments);
  }

  /** Merges the splits of rows into {@code out}; of rows that are none it becomes 0. */
  public void merge(CudaStream stream, Rows rows, Partials partials, Pieces out) {
    mergeArguments
        .setAddress("partialOut", partials.out)
        .setAddress("partialMax", partials.max)
        .setAddress("partialSum", partials.sum)
        .setAddress("positions", rows.positions)
        .setAddress("out", out.address())
        .set("outPieceStride", out.planeStride())
        .set("maxSplits", partials.splits)
        .set("outStride", out.stride())
        .set("pieces", out.count())
        .set("format", out.format());
    mergeKernel.launch(stream, Grid.of(rows.count, attention.queryHeads()), 0, mergeArguments);
  }
}
