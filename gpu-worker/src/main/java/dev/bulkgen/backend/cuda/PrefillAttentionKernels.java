package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.AttentionShape;

/** Launches the causal attention of prompts, whole or in parts, to themselves. */
public final class PrefillAttentionKernels {
  /** Queries of a tile. */
  public static final int QUERY_TILE = 64;

  private static final int[] DEPTHS = {32, 64, 96, 128, 192, 256};
  private static final int HALF = 2;
  private static final int COPY_BYTES = 16;

  private final Kernel kernel;
  private final KernelArguments arguments;
  private final AttentionShape attention;
  private final int pieces;
  private final int sharedBytes;

  /**
   * Queries of prompts side by side.
   *
   * @param address of [rows][queryHeads][headDim] float, scaled by log2(e) / √headDim
   * @param firstRow which row of the prompts' keys the first is that of
   */
  public record Queries(long address, int firstRow) {}

  /**
   * Tiles of queries, by address; those with the most keys to see should come first, so that the
   * device ends together.
   *
   * @param sequence [count] int
   * @param start [count] int: position of the tile's first query
   */
  public record Tiles(int count, long sequence, long start) {}

  /**
   * @param pieces of queries, probabilities and results: 1 for float16, 2 for about float's
   *     precision
   * @throws BulkgenException INTERNAL if no kernel takes the heads
   */
  public PrefillAttentionKernels(KernelLibrary kernels, AttentionShape attention, int pieces) {
    this.attention = attention;
    this.pieces = pieces;
    int depth = depth(attention.headDim());
    kernel = kernels.kernel("prefill_attention_" + depth + (pieces == 2 ? "_two_pieces" : ""));
    sharedBytes = sharedBytes(depth, pieces);
    arguments =
        kernel
            .arguments()
            .set("queryHeads", attention.queryHeads())
            .set("kvHeads", attention.kvHeads())
            .set("headDim", attention.headDim())
            .set("slidingWindow", attention.slidingWindow().orElse(0));
  }

  private static int depth(int headDim) {
    for (int depth : DEPTHS) {
      if (headDim % 2 == 0 && headDim <= depth) {
        return depth;
      }
    }
    throw BulkgenException.of(
        ErrorCode.INTERNAL,
        "heads of %d: prefill attention takes even sizes up to %d",
        headDim,
        DEPTHS[DEPTHS.length - 1]);
  }

  /**
   * A tile of K and one of V, rows 16 bytes apart, then queries that find no place in registers.
   */
  private static int sharedBytes(int depth, int pieces) {
    int keyTile = depth * pieces > 384 ? 32 : 64;
    int tiles = 2 * keyTile * (depth * HALF + COPY_BYTES);
    boolean queryInRegisters = depth <= 128 && pieces == 1;
    return tiles + (queryInRegisters ? 0 : pieces * QUERY_TILE * depth * HALF);
  }

  /**
   * Writes the tiles' rows of {@code out}: the heads' results side by side, then zeros up to the
   * stride.
   *
   * @param layer of the prompts' earlier tokens
   * @param out row 0 is that of the query's row 0; as many pieces as this was made for, an even
   *     stride
   */
  public void attend(
      CudaStream stream, Queries queries, PromptView prompts, int layer, Tiles tiles, Pieces out) {
    check(prompts, out);
    prompts.fill(arguments, layer);
    arguments
        .setAddress("query", queries.address)
        .set("firstQueryRow", queries.firstRow)
        .setAddress("tileSequence", tiles.sequence)
        .setAddress("tileStart", tiles.start)
        .setAddress("out", out.address())
        .set("outPieceStride", out.planeStride())
        .set("outStride", out.stride())
        .set("format", out.format());
    kernel.launch(stream, Grid.of(tiles.count, attention.queryHeads()), sharedBytes, arguments);
  }

  private void check(PromptView prompts, Pieces out) {
    boolean copiesAligned = (prompts.keys() | prompts.values()) % COPY_BYTES == 0;
    boolean storesAligned =
        out.address() % Integer.BYTES == 0 && (out.stride() | out.planeStride()) % 2 == 0;
    if (!copiesAligned || !storesAligned || out.count() != pieces) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "prefill attention in %d pieces: K at %x, V at %x, out %s",
          pieces,
          prompts.keys(),
          prompts.values(),
          out);
    }
    if (out.stride() < attention.queryWidth()) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "prefill attention writes %d numbers a row into %d",
          attention.queryWidth(),
          out.stride());
    }
  }
}
