package dev.bulkgen.backend.cuda;

import dev.bulkgen.tensor.DType;

/** The format and the pieces of a product's operands, and how near they come to it. */
enum MatmulForm {
  BF16_ONE(DType.BF16, 1, 1),
  BF16_X(DType.BF16, 2, 1),
  BF16_WEIGHT(DType.BF16, 1, 2),
  BF16_BOTH(DType.BF16, 2, 2),
  FP16_ONE(DType.F16, 1, 1),
  FP16_X(DType.F16, 2, 1);

  // Of the sum of magnitudes: float sums of up to 576 products in some order.
  private static final double SUM_ERROR = 0x1p-20;
  // What two roundings leave of an operand, twice, and the product of the rests.
  private static final double BFLOAT_PIECES_ERROR = 3 * 0x1p-16;
  private static final double HALF_PIECES_ERROR = 0x1p-20;

  final DType type;
  final int xPieces;
  final int weightPieces;

  MatmulForm(DType type, int xPieces, int weightPieces) {
    this.type = type;
    this.xPieces = xPieces;
    this.weightPieces = weightPieces;
  }

  MatmulRig.Operands of(MatmulRig rig, MatmulProblem problem) {
    return rig.new Operands(problem, type, xPieces, weightPieces);
  }

  MatmulProblem reference(MatmulProblem problem) {
    return problem.rounded(type, xPieces, weightPieces);
  }

  double bound(MatmulProblem.Sum sum) {
    double pieces = type == DType.BF16 ? BFLOAT_PIECES_ERROR : HALF_PIECES_ERROR;
    return sum.magnitude() * (SUM_ERROR + (xPieces * weightPieces > 1 ? pieces : 0)) + 0x1p-22;
  }

  /** Compares floats [rows][columns] with the reference. */
  void checkStored(MatmulProblem problem, float[] actual) {
    MatmulProblem reference = reference(problem);
    for (int row = 0; row < problem.rows(); row++) {
      for (int column = 0; column < problem.columns(); column++) {
        MatmulProblem.Sum sum = reference.sum(row, column);
        double bound = bound(sum);
        check(problem, row, column, actual[row * problem.columns() + column], sum.value(), bound);
      }
    }
  }

  static void check(
      MatmulProblem problem, int row, int column, float actual, double expected, double bound) {
    // A comparison that NaN fails.
    if (!(Math.abs(actual - expected) <= bound)) {
      throw new AssertionError(
          String.format(
              "%d x %d x %d, row %d, column %d: %s, expected %s within %s",
              problem.rows(),
              problem.columns(),
              problem.depth(),
              row,
              column,
              actual,
              expected,
              bound));
    }
  }
}
