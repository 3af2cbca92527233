package dev.bulkgen.backend.cuda;

/**
 * How a matrix product is cut up: pure functions of its shape, so that memory is planned before
 * anything runs.
 *
 * @param tile which kernel computes it
 * @param blocks of a split: those that cover the result, or fewer that take tile after tile
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
  // Of the card that plans are made for; on others they are as right, and nearly as good.
  private static final int MULTIPROCESSORS = 132;
  // A wide tile is twice the work of a tile of 128 x 128; its larger warp tiles read shared memory
  // less, so it takes only about one and a half times as long.
  private static final int ROWS128_COST = 2;
  private static final int WIDE_COST = 3;

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
    MatmulTile tile = tile(rows, pieces);
    int splits = splits(columns, depth);
    boolean goesThroughSplits =
        (tile == MatmulTile.ROWS128 || tile == MatmulTile.PIECES64)
            && tile.blocks(rows, columns) > ENOUGH_TILES;
    boolean mayBeWide = tile == MatmulTile.ROWS128 && (goesThroughSplits || splits == 1);
    if (mayBeWide && isWideFaster(rows, columns)) {
      tile = MatmulTile.WIDE;
    }
    return with(tile, rows, columns, depth, mayBeWide || goesThroughSplits ? 1 : splits);
  }

  /** A plan with a given tile and {@code splitBlocks}, which is 1 or all splits. */
  static MatmulPlan with(MatmulTile tile, int rows, int columns, int depth, int splitBlocks) {
    int splits = splits(columns, depth);
    int blocks = tile.blocks(rows, columns);
    if (tile == MatmulTile.WIDE && splits > 1) {
      blocks = Math.min(blocks, MULTIPROCESSORS);
    }
    return new MatmulPlan(tile, blocks, splits, splitBlocks);
  }

  private static MatmulTile tile(int rows, int pieces) {
    if (pieces > 1) {
      return rows <= MatmulTile.PIECES16.rows() ? MatmulTile.PIECES16 : MatmulTile.PIECES64;
    }
    if (rows <= MatmulTile.ROWS16.rows()) {
      return MatmulTile.ROWS16;
    }
    if (rows <= MatmulTile.ROWS32.rows()) {
      return MatmulTile.ROWS32;
    }
    return rows <= MatmulTile.ROWS64.rows() ? MatmulTile.ROWS64 : MatmulTile.ROWS128;
  }

  private static boolean isWideFaster(int rows, int columns) {
    return WIDE_COST * rounds(MatmulTile.WIDE, rows, columns)
        <= ROWS128_COST * rounds(MatmulTile.ROWS128, rows, columns);
  }

  /** Tiles that the busiest multiprocessor computes. */
  private static int rounds(MatmulTile tile, int rows, int columns) {
    return MatmulTile.ceilDiv(tile.blocks(rows, columns), MULTIPROCESSORS);
  }

  /** Whether blocks carry the total of splits in {@code partials}, each its own. */
  boolean carriesTotals() {
    return tile == MatmulTile.WIDE && splits > 1;
  }

  /** The same where no more than {@code multiprocessors} such blocks run at once. */
  MatmulPlan on(int multiprocessors) {
    return carriesTotals() && multiprocessors < blocks
        ? new MatmulPlan(tile, multiprocessors, splits, splitBlocks)
        : this;
  }

  /** Bytes of partial sums. */
  long partialBytes() {
    if (splitBlocks == 1 && !carriesTotals()) {
      return 0;
    }
    return (long) Float.BYTES * blocks * splitBlocks * tile.rows() * tile.columns();
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
    for (int full = 0; full < mostRows; ) {
      full = Math.min(full + MatmulTile.ROWS16.rows(), mostRows);
      MatmulPlan plan = of(full, columns, depth, pieces);
      needs = needs.or(new MatmulNeeds(plan.partialBytes(), plan.arrivals()));
    }
    return needs;
  }
}
