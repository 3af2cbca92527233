package dev.bulkgen.backend.cuda;

import java.util.Locale;

/** The kernels of matmul.cu by the tile of the result that a block computes. */
enum MatmulTile {
  ROWS16(16, 64, 5),
  ROWS32(32, 128, 4),
  ROWS64(64, 128, 4),
  ROWS128(128, 128, 3),
  WIDE(128, 256, 2),
  PIECES16(16, 64, 3),
  PIECES64(64, 128, 2);

  /** Numbers of depth in a stage; depth is a multiple of it. */
  static final int STEP = 64;

  private static final int PANEL_COLUMNS = 128;
  private static final int PANEL_PADDING = 8;

  private final int rows;
  private final int columns;
  private final int stages;

  MatmulTile(int rows, int columns, int stages) {
    this.rows = rows;
    this.columns = columns;
    this.stages = stages;
  }

  int rows() {
    return rows;
  }

  int columns() {
    return columns;
  }

  /** Blocks that cover a result of {@code allRows} x {@code allColumns}. */
  int blocks(int allRows, int allColumns) {
    return Math.multiplyExact(ceilDiv(allRows, rows), ceilDiv(allColumns, columns));
  }

  /** Shared memory of a block: its stages, and later in their place a panel of sums. */
  int sharedBytes(int xPieces, int weightPieces) {
    int lines = xPieces * rows + weightPieces * columns;
    int panel = rows * (Math.min(columns, PANEL_COLUMNS) + PANEL_PADDING) * Float.BYTES;
    return Math.max(stages * lines * STEP * Short.BYTES, panel);
  }

  /** The kernel for numbers of the format. */
  String kernel(Pieces numbers) {
    String format = numbers.format() == 0 ? "bf16" : "fp16";
    return "matmul_" + format + "_" + name().toLowerCase(Locale.ROOT);
  }

  static int ceilDiv(int value, int by) {
    return (value + by - 1) / by;
  }
}
