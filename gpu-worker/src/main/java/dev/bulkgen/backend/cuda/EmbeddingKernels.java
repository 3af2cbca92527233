package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;

/** Launches the gather of the embedding table: the start of the residual stream. */
public final class EmbeddingKernels {
  private final Kernel kernel;
  private final KernelArguments arguments;
  private final int width;
  private final int tableStride;

  /**
   * @param table [vocabulary][stride], the model's token embedding
   * @param width numbers of an embedding
   */
  public EmbeddingKernels(KernelLibrary kernels, Pieces table, int width) {
    if (width < 1 || width > table.stride()) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "an embedding of %d numbers in %s", width, table);
    }
    this.width = width;
    this.tableStride = table.stride();
    kernel = kernels.kernel("embed_tokens");
    arguments =
        kernel
            .arguments()
            .setAddress("table", table.address())
            .set("pieceStride", table.planeStride())
            .set("stride", tableStride)
            .set("width", width)
            .set("pieces", table.count())
            .set("format", table.format());
  }

  /** In place of a token: the one that was drawn last for the row's slot. */
  static final int AS_DRAWN = -2;

  /**
   * Tokens by address.
   *
   * @param tokens [rows] int, each below the vocabulary; −1 gives zeros
   * @param slots [rows] int; 0: no token is {@link #AS_DRAWN}
   * @param drawn [slots] int: the tokens drawn last, negative where there was none, which gives
   *     NaNs
   */
  public record Tokens(long tokens, long slots, long drawn) {

    public static Tokens known(long tokens) {
      return new Tokens(tokens, 0, 0);
    }
  }

  /**
   * Writes the embeddings of {@code rows} tokens.
   *
   * @param out address of [rows][outStride] float; numbers from the width on stay as they are
   */
  public void embed(CudaStream stream, int rows, Tokens tokens, long out, int outStride) {
    if (outStride < width) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "embeddings of %d numbers into rows of %d", width, outStride);
    }
    arguments
        .setAddress("tokens", tokens.tokens)
        .setAddress("slots", tokens.slots)
        .setAddress("drawn", tokens.drawn)
        .setAddress("out", out)
        .set("outStride", outStride);
    kernel.launch(stream, Grid.of(rows), 0, arguments);
  }
}
