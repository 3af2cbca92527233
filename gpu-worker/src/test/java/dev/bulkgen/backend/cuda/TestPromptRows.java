package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.cache.SequenceCache;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How prompts lie side by side, and how they are cut. */
class TestPromptRows {
  private static final int TILE = 64;

  private static List<SequenceStep> prompts(int... lengths) {
    List<SequenceStep> steps = new ArrayList<>();
    for (int length : lengths) {
      int[] tokens = new int[length];
      Arrays.setAll(tokens, i -> 1000 * steps.size() + i);
      SequenceCache cache = new SequenceCache(10 + steps.size(), 1);
      steps.add(new SequenceStep(cache, tokens, null, LogitsRequest.NONE));
    }
    return steps;
  }

  @Test
  void tablesFollowTheSequences() {
    PromptRows rows = new PromptRows(prompts(3, 1, 2), TILE, TILE);
    assertEquals(6, rows.count);
    assertArrayEquals(new int[] {0, 1, 2, 1000, 2000, 2001}, rows.tokens);
    assertArrayEquals(new int[] {0, 1, 2, 0, 0, 1}, rows.positions);
    assertArrayEquals(new int[] {0, 3, 4}, rows.firstRow);
    assertArrayEquals(new int[] {3, 1, 2}, rows.length);
    assertArrayEquals(new int[] {10, 11, 12}, rows.slots);
    assertEquals(5, rows.lastRow(2));
    assertEquals(3, rows.longest());
  }

  @ParameterizedTest
  @ValueSource(ints = {64, 65, 128, 200, 1000})
  void blocksCoverEveryRowOnceAndEndWithTiles(int blockRows) {
    PromptRows rows = new PromptRows(prompts(1, 64, 65, 300, 128, 63), TILE, blockRows);
    int row = 0;
    int tile = 0;
    for (PromptRows.Block block : rows.blocks) {
      assertEquals(row, block.firstRow());
      assertEquals(tile, block.firstTile());
      assertTrue(block.rows() <= blockRows);
      TreeSet<Integer> covered = new TreeSet<>();
      for (int t = tile; t < tile + block.tiles(); t++) {
        assertEquals(0, rows.tileStart[t] % TILE);
        int sequence = rows.tileSequence[t];
        int end = Math.min(rows.length[sequence], rows.tileStart[t] + TILE);
        for (int i = rows.tileStart[t]; i < end; i++) {
          assertTrue(covered.add(rows.firstRow[sequence] + i));
        }
      }
      assertEquals(block.rows(), covered.size());
      assertEquals(row, covered.first());
      row += block.rows();
      tile += block.tiles();
    }
    assertEquals(rows.count, row);
    assertEquals(rows.tileStart.length, tile);
  }
}
