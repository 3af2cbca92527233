package dev.bulkgen.backend.cuda;

import dev.bulkgen.model.WeightMatrix;
import java.util.List;

/** Which row of which weight stands in a row of a device matrix. */
interface MatrixRows {

  MatrixShape shape();

  /** The weight of which {@code row} has a row; null for a row of zeros. */
  WeightMatrix weight(int row);

  /** The row in {@link #weight}. */
  int sourceRow(int row);

  static MatrixRows stacked(MatrixShape shape, WeightMatrix... parts) {
    List<WeightMatrix> all = List.of(parts);
    int[] starts = new int[parts.length];
    for (int i = 1; i < parts.length; i++) {
      starts[i] = starts[i - 1] + parts[i - 1].rows();
    }
    return new MatrixRows() {
      @Override
      public MatrixShape shape() {
        return shape;
      }

      @Override
      public WeightMatrix weight(int row) {
        return all.get(part(row));
      }

      @Override
      public int sourceRow(int row) {
        return row - starts[part(row)];
      }

      private int part(int row) {
        int part = starts.length - 1;
        while (row < starts[part]) {
          part--;
        }
        return part;
      }
    };
  }

  static MatrixRows interleaved(MatrixShape shape, WeightMatrix gate, WeightMatrix up) {
    if (gate.rows() != up.rows()) {
      throw new IllegalArgumentException("gate has " + gate.rows() + " rows, up has " + up.rows());
    }
    int run = MatrixShape.INTERLEAVED_ROWS;
    return new MatrixRows() {
      @Override
      public MatrixShape shape() {
        return shape;
      }

      @Override
      public WeightMatrix weight(int row) {
        if (sourceRow(row) >= gate.rows()) {
          return null;
        }
        return row / run % 2 == 0 ? gate : up;
      }

      @Override
      public int sourceRow(int row) {
        return row / (2 * run) * run + row % run;
      }
    };
  }
}
