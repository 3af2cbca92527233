package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class TestMatmulPlan {
  private static final int SHARED_BYTES = 99 << 10;

  @ParameterizedTest
  @CsvSource({
    "4096, 4096, 4",
    "4096, 11008, 4",
    "6144, 4096, 3",
    "12288, 4096, 2",
    "22016, 4096, 1",
    "128256, 4096, 1",
    "1024, 3072, 8",
    "64, 64, 1",
    "200, 448, 1",
    "200, 576, 2",
    "8, 4096, 8"
  })
  void testSplits(int columns, int depth, int splits) {
    assertEquals(splits, MatmulPlan.splits(columns, depth));
  }

  @Test
  void testNoSplitIsEmpty() {
    for (int columns = 1; columns < 20_000; columns += 97) {
      for (int steps = 1; steps < 300; steps++) {
        int splits = MatmulPlan.splits(columns, steps * MatmulTile.STEP);
        int splitSteps = MatmulTile.ceilDiv(steps, splits);
        assertTrue(splits >= 1 && (splits - 1) * splitSteps < steps);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"4096, 4096, 1", "4096, 4096, 4", "200, 576, 1", "22016, 4096, 1", "1024, 2048, 2"})
  void testNeedsCoverEveryNumberOfRows(int columns, int depth, int pieces) {
    int most = 3000;
    MatmulNeeds needs = MatmulPlan.needs(most, columns, depth, pieces);
    long partialBytes = 0;
    int arrivals = 0;
    for (int rows = 1; rows <= most; rows++) {
      MatmulPlan plan = MatmulPlan.of(rows, columns, depth, pieces);
      assertEquals(MatmulPlan.splits(columns, depth), plan.splits());
      assertTrue(plan.splitBlocks() == 1 || plan.splitBlocks() == plan.splits());
      MatmulPlan small = plan.on(16);
      assertTrue(small.partialBytes() <= plan.partialBytes());
      partialBytes = Math.max(partialBytes, plan.partialBytes());
      arrivals = Math.max(arrivals, plan.arrivals());
    }
    assertEquals(new MatmulNeeds(partialBytes, arrivals), needs);
  }

  @Test
  void testTilesFollowTheRows() {
    assertEquals(MatmulTile.ROWS16, MatmulPlan.of(16, 4096, 4096, 1).tile());
    assertEquals(MatmulTile.ROWS32, MatmulPlan.of(17, 4096, 4096, 1).tile());
    assertEquals(MatmulTile.ROWS64, MatmulPlan.of(64, 4096, 4096, 1).tile());
    assertEquals(MatmulTile.ROWS128, MatmulPlan.of(65, 4096, 4096, 1).tile());
    assertEquals(4, MatmulPlan.of(65, 4096, 4096, 1).splitBlocks());
    assertEquals(MatmulTile.ROWS128, MatmulPlan.of(512, 4096, 4096, 1).tile());
    assertEquals(1, MatmulPlan.of(512, 4096, 4096, 1).splitBlocks());
    assertEquals(new MatmulPlan(MatmulTile.WIDE, 132, 4, 1), MatmulPlan.of(2048, 4096, 4096, 1));
    assertEquals(108, MatmulPlan.of(2048, 4096, 4096, 1).on(108).blocks());
    assertEquals(
        new MatmulPlan(MatmulTile.WIDE, 16 * 86, 1, 1), MatmulPlan.of(2048, 22016, 4096, 1));
    assertEquals(MatmulTile.PIECES16, MatmulPlan.of(16, 4096, 4096, 2).tile());
    assertEquals(MatmulTile.PIECES64, MatmulPlan.of(17, 4096, 4096, 2).tile());
  }

  @ParameterizedTest
  @EnumSource(MatmulTile.class)
  void testTilesFitIntoSharedMemory(MatmulTile tile) {
    int pieces = tile.name().startsWith("PIECES") ? 2 : 1;
    assertTrue(tile.sharedBytes(pieces, pieces) <= SHARED_BYTES);
  }
}
