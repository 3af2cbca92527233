package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.MlpForm;

/**
 * Products of another library, with the epilogues that it lacks: sums of so many rows as there is
 * room for go through memory, where a kernel finishes them. What needs no finishing goes straight
 * to its place.
 */
final class FinishedProducts implements Products {
  private static final int STORE = 0;
  private static final int ADD = 1;
  private static final int SILU = 2;

  private final PlainProducts plain;
  private final DeviceMemory sums;
  private final Kernel kernel;
  private final KernelArguments arguments;

  /**
   * @param plain is closed with this
   * @param sums floats, at least a row of the widest weight
   */
  FinishedProducts(KernelLibrary kernels, PlainProducts plain, DeviceMemory sums) {
    this.plain = plain;
    this.sums = sums;
    kernel = kernels.kernel("finish_product");
    arguments = kernel.arguments();
  }

  @Override
  public void store(
      CudaStream stream, Pieces x, int rows, DeviceMatrix weight, long out, int outStride) {
    if (weight.bias() == 0) {
      plain.store(stream, x, rows, weight, out, outStride);
    } else {
      finish(stream, x, rows, weight, new Target(out, null, outStride, STORE));
    }
  }

  @Override
  public void add(
      CudaStream stream, Pieces x, int rows, DeviceMatrix weight, long out, int outStride) {
    if (weight.bias() == 0) {
      plain.add(stream, x, rows, weight, out, outStride);
    } else {
      finish(stream, x, rows, weight, new Target(out, null, outStride, ADD));
    }
  }

  @Override
  public void activate(
      CudaStream stream, Pieces x, int rows, DeviceMatrix weight, MlpForm form, Pieces out) {
    int epilogue = MatmulKernels.Product.epilogue(form);
    int columns = epilogue == SILU ? weight.columns() / 2 : weight.columns();
    if (out.count() != 1 || out.type() != x.type() || out.stride() < columns) {
      throw BulkgenException.of(ErrorCode.INTERNAL, "%s cannot take %d columns", out, columns);
    }
    finish(stream, x, rows, weight, new Target(0, out, out.stride(), epilogue));
  }

  /** Where finished numbers go: floats to {@code out}, or one piece to {@code outPieces}. */
  private record Target(long out, Pieces outPieces, int outStride, int epilogue) {}

  private void finish(CudaStream stream, Pieces x, int rows, DeviceMatrix weight, Target target) {
    long rowBytes = (long) Float.BYTES * weight.columns();
    int most = (int) Math.min(rows, sums.bytes() / rowBytes);
    if (most < 1) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "%s holds no row of %d sums", sums, weight.columns());
    }
    DeviceMatrix unbiased = new DeviceMatrix(weight.numbers(), weight.columns(), 0);
    for (int first = 0; first < rows; first += most) {
      int count = Math.min(most, rows - first);
      plain.store(stream, x.fromRow(first), count, unbiased, sums.address(), weight.columns());
      launch(stream, first, count, weight, target);
    }
  }

  private void launch(CudaStream stream, int first, int count, DeviceMatrix weight, Target target) {
    long offset = (long) Float.BYTES * first * target.outStride;
    Pieces pieces = target.outPieces;
    arguments
        .set("sums", sums)
        .setAddress("bias", weight.bias())
        .setAddress("out", pieces == null ? target.out + offset : 0)
        .setAddress("outPieces", pieces == null ? 0 : pieces.fromRow(first).address())
        .set("columns", weight.columns())
        .set("outStride", target.outStride)
        .set("epilogue", target.epilogue)
        .set("format", pieces == null ? 0 : pieces.format());
    kernel.launch(stream, Grid.of(count), 0, arguments);
  }

  @Override
  public void close() {
    plain.close();
  }
}
