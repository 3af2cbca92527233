package dev.bulkgen.backend.cuda;

/**
 * How a matrix product is cut up: pure functions of its shape, so that memory is planned before
 * anything runs.
 *
 * @param tile which kernel computes it
 * @param blocks that cover the result
 * @param splits of depth; the sums of the splits are added in their order
 * @param splitBlocks blocks that share a tile: each its split, or one that goes through all
 */
record MatmulPlan(MatmulTile tile, int blocks, int splits, int splitBlocks) {
  // What a split of a narrow weight aims at: blocks that together keep the memory of the largest
  // card (132 multiprocessors) busy.
  private static final int BUSY_BLOCKS = 128;
  private static final int SPLIT_COLUMNS = 128;
  // A shorter split spends its time filling and emptying its stages.
  private static final int SHORTEST_SPLIT_STEPS = 4;
  private static final int MOST_SPLITS = 8;
  // From here on the tiles alone keep the card busy, and partial sums would only cost memory.
  private static final int ENOUGH_TILES = 96;
  // The wide tile pays where two of its rounds fill the card.
  private static final int WIDE_TILES = 264;

  /**
   * Splits of depth: by the shape of the weight alone (P1), whatever the rows and the card.
   *
   * @param columns of the result
   * @param depth a multiple of {@link MatmulTile#STEP}
   */
  static int splits(int columns, int depth) {
    int steps = depth / MatmulTile.STEP;
    int wanted = MatmulTile.ceilDiv(BUSY_BLOCKS, MatmulTile.ceilDiv(columns, SPLIT_COLUMNS));
    int most = Math.max(1, Math.min(MOST_SPLITS, steps / SHORTEST_SPLIT_STEPS));
    int splitSteps = MatmulTile.ceilDiv(steps, Math.min(wanted, most));
    return MatmulTile.ceilDiv(steps, splitSteps);
  }

  /**
   * The plan of a product.
   *
   * @param pieces of x times those of the weight
   */
  static MatmulPlan of(int rows, int columns, int depth, int pieces) {
    MatmulTile tile = tile(rows, columns, depth, pieces);
    int splits = splits(columns, depth);
    boolean mayGoThroughAll = tile.rows() > MatmulTile.ROWS64.rows() || tile == MatmulTile.PIECES;
    int blocks = tile.blocks(rows, columns);
    return with(tile, rows, columns, depth, mayGoThroughAll && blocks > ENOUGH_TILES ? 1 : splits);
  }

  /** A plan with a given tile and {@code splitBlocks}, which is 1 or all splits. */
  static MatmulPlan with(MatmulTile tile, int rows, int columns, int depth, int splitBlocks) {
    return new MatmulPlan(tile, tile.blocks(rows, columns), splits(columns, depth), splitBlocks);
  }

  private static MatmulTile tile(int rows, int columns, int depth, int pieces) {
    if (pieces > 1) {
      return MatmulTile.PIECES;
    }
    if (rows <= MatmulTile.ROWS16.rows()) {
      return MatmulTile.ROWS16;
    }
    if (rows <= MatmulTile.ROWS32.rows()) {
      return MatmulTile.ROWS32;
    }
    if (rows <= MatmulTile.ROWS64.rows()) {
      return MatmulTile.ROWS64;
    }
    boolean wide =
        splits(columns, depth) == 1 && MatmulTile.WIDE.blocks(rows, columns) >= WIDE_TILES;
    return wide ? MatmulTile.WIDE : MatmulTile.ROWS128;
  }

  /** Bytes of partial sums. */
  long partialBytes() {
    return splitBlocks == 1
        ? 0
        : (long) Float.BYTES * blocks * splits * tile.rows() * tile.columns();
  }

  /** Counters of blocks that have come. */
  int arrivals() {
    return splitBlocks == 1 ? 0 : blocks;
  }

  /**
   * What products with a weight need beside their operands, for any number of rows up to {@code
   * mostRows}.
   */
  static MatmulNeeds needs(int mostRows, int columns, int depth, int pieces) {
    MatmulNeeds needs = MatmulNeeds.NONE;
    // Every number of rows at which a tile is full; between them needs are no larger.
    for (int full = MatmulTile.ROWS16.rows(); ; full += MatmulTile.ROWS16.rows()) {
      MatmulPlan plan = of(Math.min(full, mostRows), columns, depth, pieces);
      needs = needs.or(new MatmulNeeds(plan.partialBytes(), plan.arrivals()));
      if (full >= mostRows || plan.splitBlocks == 1 && full > MatmulTile.ROWS128.rows()) {
        return needs;
      }
    }
  }
}
