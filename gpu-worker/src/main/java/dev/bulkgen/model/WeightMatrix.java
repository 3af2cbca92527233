package dev.bulkgen.model;

import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Tensor;

/**
 * Rows of a tensor [sourceRows, cols], used in place: {@code slices} runs of {@code rowsPerSlice}
 * rows, each {@code sliceStride} rows after the other, from {@code firstRow} on. One slice is the
 * plain case; fused query-key-value tensors need the rest.
 */
public record WeightMatrix(
    Tensor tensor, int firstRow, int rowsPerSlice, int sliceStride, int slices, int cols) {

  public static WeightMatrix whole(Tensor tensor) {
    int rows = Math.toIntExact(tensor.shape()[0]);
    return new WeightMatrix(tensor, 0, rows, rows, 1, Math.toIntExact(tensor.shape()[1]));
  }

  public int rows() {
    return rowsPerSlice * slices;
  }

  public DType dtype() {
    return tensor.dtype();
  }

  /** Bytes one pass over the matrix reads. */
  public long bytes() {
    return (long) rows() * cols * dtype().bytes();
  }

  /** Index in the tensor of the first element of {@code row}. */
  public long element(int row) {
    int source = firstRow + row / rowsPerSlice * sliceStride + row % rowsPerSlice;
    return (long) source * cols;
  }
}
