package dev.bulkgen.backend.cuda;

import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.DType;

/**
 * How a weight lies on the device: numbers of 16 bits, [pieces][rows][depth].
 *
 * <p>float16 and bfloat16 stay as they are, in one piece. float32, and weights of different types
 * in one matrix, become two pieces of bfloat16: the rounded number and the rounded rest.
 *
 * @param depth columns, padded with zeros to whole tiles
 * @param type BF16 or F16
 */
public record MatrixShape(int rows, int depth, int pieces, DType type) {
  /** Rows of gate and up alternate in runs of this length. */
  public static final int INTERLEAVED_ROWS = 8;

  /** Of matrices with equal columns, their rows one after the other. */
  public static MatrixShape stacked(WeightMatrix... parts) {
    return stacked(commonType(parts), parts);
  }

  /** As above, in {@code type}: that of all parts, or F32, which holds every type. */
  public static MatrixShape stacked(DType type, WeightMatrix... parts) {
    int rows = 0;
    for (WeightMatrix part : parts) {
      rows = Math.addExact(rows, part.rows());
    }
    return of(type, rows, parts);
  }

  /** Of gate and up, interleaved; both padded to whole runs with rows of zeros. */
  public static MatrixShape interleaved(WeightMatrix gate, WeightMatrix up) {
    return interleaved(commonType(gate, up), gate, up);
  }

  /** As above, in {@code type}: that of both, or F32, which holds every type. */
  public static MatrixShape interleaved(DType type, WeightMatrix gate, WeightMatrix up) {
    int padded = roundUp(gate.rows(), INTERLEAVED_ROWS);
    return of(type, Math.multiplyExact(2, padded), gate, up);
  }

  /** The type that all weights have, or F32 where they differ. */
  public static DType commonType(WeightMatrix... weights) {
    DType type = weights[0].dtype();
    for (WeightMatrix weight : weights) {
      type = weight.dtype() == type ? type : DType.F32;
    }
    return type;
  }

  private static MatrixShape of(DType type, int rows, WeightMatrix... parts) {
    for (WeightMatrix part : parts) {
      if (part.cols() != parts[0].cols() || type != DType.F32 && part.dtype() != type) {
        throw new IllegalArgumentException(
            part.tensor() + " does not fit to " + parts[0].tensor() + " as " + type);
      }
    }
    int depth = roundUp(parts[0].cols(), MatmulTile.STEP);
    return type == DType.F32
        ? new MatrixShape(rows, depth, 2, DType.BF16)
        : new MatrixShape(rows, depth, 1, type);
  }

  /** Numbers from one piece to the next. */
  public long pieceStride() {
    return (long) rows * depth;
  }

  public long bytes() {
    return pieces * pieceStride() * Short.BYTES;
  }

  static int roundUp(int value, int multiple) {
    return Math.addExact(value, multiple - 1) / multiple * multiple;
  }
}
