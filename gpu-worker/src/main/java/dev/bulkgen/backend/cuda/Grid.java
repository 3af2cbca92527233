package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;

/** Blocks of a launch. */
public record Grid(int x, int y, int z) {
  private static final int MOST_Y_OR_Z = 65535;

  public Grid {
    if (x < 1 || y < 1 || z < 1 || y > MOST_Y_OR_Z || z > MOST_Y_OR_Z) {
      throw BulkgenException.of(ErrorCode.INTERNAL, "grid of %d x %d x %d blocks", x, y, z);
    }
  }

  public static Grid of(int x) {
    return new Grid(x, 1, 1);
  }

  public static Grid of(int x, int y) {
    return new Grid(x, y, 1);
  }

  public static Grid of(int x, int y, int z) {
    return new Grid(x, y, z);
  }
}
