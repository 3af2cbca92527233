package dev.bulkgen.backend.cuda;

import dev.bulkgen.tensor.DType;
import java.util.Random;

/**
 * Operands of a product, and what a loop in double precision makes of them.
 *
 * @param x [rows][depth]
 * @param weight [columns][depth]
 * @param bias [columns] or null
 */
record MatmulProblem(int rows, int columns, int depth, float[] x, float[] weight, float[] bias) {

  static MatmulProblem random(int rows, int columns, int depth) {
    Random random = new Random(31L * rows + 7L * columns + depth);
    return new MatmulProblem(
        rows,
        columns,
        depth,
        uniform(random, rows * depth),
        uniform(random, columns * depth),
        uniform(random, columns));
  }

  private static float[] uniform(Random random, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = 2 * random.nextFloat() - 1;
    }
    return values;
  }

  /** The same with x and weight rounded once: what products in one piece compute from. */
  MatmulProblem rounded(DType type, int xPieces, int weightPieces) {
    return new MatmulProblem(
        rows,
        columns,
        depth,
        xPieces == 1 ? rounded(x, type) : x,
        weightPieces == 1 ? rounded(weight, type) : weight,
        bias);
  }

  private static float[] rounded(float[] values, DType type) {
    float[] result = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      result[i] = MatmulRig.toFloat(MatmulRig.toBits(values[i], type), type);
    }
    return result;
  }

  MatmulProblem withoutBias() {
    return new MatmulProblem(rows, columns, depth, x, weight, null);
  }

  /** Σ x · weight + bias, and beside it what errors are measured against: Σ |x · weight|. */
  Sum sum(int row, int column) {
    double value = 0;
    double magnitude = 0;
    for (int k = 0; k < depth; k++) {
      double product = (double) x[row * depth + k] * weight[column * depth + k];
      value += product;
      magnitude += Math.abs(product);
    }
    return new Sum(value + (bias == null ? 0 : bias[column]), magnitude);
  }

  record Sum(double value, double magnitude) {}
}
