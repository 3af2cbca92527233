package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.DType;

/**
 * Numbers on the device in 16 bits: planes [count][rows][stride], the first of rounded numbers, the
 * second of the rounded rests.
 *
 * @param address of the first plane's first row
 * @param type BF16 or F16
 * @param count 1 or 2
 * @param stride numbers from row to row
 * @param planeStride numbers from plane to plane
 */
public record Pieces(long address, DType type, int count, int stride, long planeStride) {
  public static final int BYTES = Short.BYTES;

  public Pieces {
    if (type != DType.BF16 && type != DType.F16 || count < 1 || count > 2 || stride < 1) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "%d pieces of %s, %d a row", count, type, stride);
    }
  }

  /** Of {@code rows} rows, the planes one behind the other. */
  public static Pieces of(long address, DType type, int count, int rows, int stride) {
    return new Pieces(address, type, count, stride, (long) rows * stride);
  }

  /** The same from row {@code row} on. */
  public Pieces fromRow(int row) {
    return new Pieces(address + (long) BYTES * row * stride, type, count, stride, planeStride);
  }

  /** As kernels know the type. */
  public int format() {
    return type == DType.BF16 ? 0 : 1;
  }
}
