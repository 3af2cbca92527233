package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.NormKind;

/** Launches the norms of the residual stream. */
public final class NormKernels {
  // NormShared of norm.cu.
  private static final int SHARED_BYTES = 32;

  private final Kernel kernel;
  private final KernelArguments arguments;
  private final int width;

  /**
   * Rows to norm, by address.
   *
   * @param count rows of the result
   * @param x [..][stride] float
   * @param index [count] int: the row of {@code x} for each row of the result; 0: the same
   * @param broken [rows of x] int: becomes 1 where a row of {@code x} is not finite, and stays as
   *     it is elsewhere; 0: nobody asks
   */
  public record Rows(int count, long x, int stride, long index, long broken) {}

  /**
   * A norm's weights [width] float, by address.
   *
   * @param bias 0: none
   */
  public record Weights(long weight, long bias) {}

  /**
   * @param width numbers of a row
   */
  public NormKernels(KernelLibrary kernels, NormKind kind, int width, float epsilon) {
    this.width = width;
    kernel = kernels.kernel(kind == NormKind.RMS ? "rms_norm" : "layer_norm");
    arguments = kernel.arguments().set("width", width).set("epsilon", epsilon);
  }

  /**
   * Writes the normed rows to {@code out}, and zeros from the width to its stride.
   *
   * @throws BulkgenException INTERNAL if rows are shorter than the norm's width
   */
  public void norm(CudaStream stream, Rows rows, Weights weights, Pieces out) {
    if (width < 1 || rows.stride < width || out.stride() < width) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "a norm of %d numbers from rows of %d to rows of %d",
          width,
          rows.stride,
          out.stride());
    }
    arguments
        .setAddress("x", rows.x)
        .setAddress("rowIndex", rows.index)
        .setAddress("broken", rows.broken)
        .set("stride", rows.stride)
        .setAddress("weight", weights.weight)
        .setAddress("bias", weights.bias)
        .setAddress("out", out.address())
        .set("outPieceStride", out.planeStride())
        .set("outStride", out.stride())
        .set("pieces", out.count())
        .set("format", out.format());
    kernel.launch(stream, Grid.of(rows.count), SHARED_BYTES, arguments);
  }
}
