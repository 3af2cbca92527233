package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.PagePool;
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
  private static final CacheLayout LAYOUT = new CacheLayout(CachePolicy.KIVI2, 1, 1, 8);

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
    PromptRows rows = new PromptRows(prompts(3, 1, 2), LAYOUT, TILE, TILE);
    assertEquals(6, rows.count);
    assertArrayEquals(new int[] {0, 1, 2, 1000, 2000, 2001}, rows.tokens);
    assertArrayEquals(new int[] {0, 1, 2, 0, 0, 1}, rows.positions);
    assertArrayEquals(new int[] {0, 3, 4}, rows.firstRow);
    assertArrayEquals(new int[] {3, 1, 2}, rows.length);
    assertArrayEquals(new int[] {10, 11, 12}, rows.slots);
    assertEquals(5, rows.lastRow(2));
    assertArrayEquals(new int[] {3, 1, 2}, rows.stored);
    assertEquals(3, rows.longestStored());
  }

  @Test
  void partsGoOnWhereTheyWereLeft() {
    PagePool pool = new PagePool(6);
    SequenceCache first = new SequenceCache(0, 1);
    SequenceCache second = new SequenceCache(1, 1);
    pool.grow(first.staging(), 4);
    pool.grow(second.staging(), 2);
    first.advance(64);
    second.beginShared(32, 1);
    List<SequenceStep> parts =
        List.of(
            new SequenceStep(
                first, new int[40], null, LogitsRequest.NONE, SequenceStep.Kind.PROMPT_PART),
            new SequenceStep(
                second, new int[70], null, LogitsRequest.NONE, SequenceStep.Kind.PROMPT_END));
    PromptRows rows = new PromptRows(parts, LAYOUT, TILE, TILE);
    assertEquals(110, rows.count);
    assertEquals(64, rows.positions[0]);
    assertEquals(32, rows.positions[40]);
    assertArrayEquals(new int[] {-64, 40 - 32}, rows.firstRow);
    assertArrayEquals(new int[] {104, 102}, rows.length);
    assertArrayEquals(new int[] {64, 32}, rows.earlier);
    assertArrayEquals(new int[] {0, 102}, rows.stored);
    assertArrayEquals(new int[] {0, 1}, rows.sharedPages);
    assertArrayEquals(new int[] {128, 64}, rows.staged);
    assertEquals(40, rows.beginRow(1));
    assertEquals(109, rows.lastRow(1));
    assertArrayEquals(new int[] {0, 1, 1}, rows.tileSequence);
    assertArrayEquals(new int[] {64, 32, 96}, rows.tileStart);
  }

  @ParameterizedTest
  @ValueSource(ints = {64, 65, 128, 200, 1000})
  void blocksCoverEveryRowOnceAndEndWithTiles(int blockRows) {
    PromptRows rows = new PromptRows(prompts(1, 64, 65, 300, 128, 63), LAYOUT, TILE, blockRows);
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
