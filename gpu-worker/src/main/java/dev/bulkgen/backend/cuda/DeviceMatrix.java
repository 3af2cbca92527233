package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;

/**
 * A weight on the device.
 *
 * @param numbers pieces [count][columns][depth], depth zero-padded to a multiple of 64; of a gated
 *     MLP the rows of gate and up alternate by 8
 * @param columns of the products with it: the weight's rows
 * @param bias address of [columns] floats, or 0
 */
public record DeviceMatrix(Pieces numbers, int columns, long bias) {
  private static final int ALIGNMENT = 16;

  public DeviceMatrix {
    if (columns < 1
        || numbers.stride() % MatmulTile.STEP != 0
        || numbers.address() % ALIGNMENT != 0
        || numbers.planeStride() * Pieces.BYTES % ALIGNMENT != 0) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "a weight of %d x %d at %#x: depth goes by %d, addresses by %d bytes",
          columns,
          numbers.stride(),
          numbers.address(),
          MatmulTile.STEP,
          ALIGNMENT);
    }
  }

  /** Numbers that an element of a product sums, padding included. */
  public int depth() {
    return numbers.stride();
  }

  /** What products of up to {@code mostRows} rows in {@code xPieces} pieces need. */
  public MatmulNeeds needs(int mostRows, int xPieces) {
    return MatmulPlan.needs(mostRows, columns, depth(), xPieces * numbers.count());
  }
}
