package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * The prompts of a step side by side, a row a token, without padding, and their cut into blocks of
 * rows that go through a layer together. Blocks end where tiles of queries end, so that a row's
 * tile follows from its position alone.
 */
final class PromptRows {
  final int count;
  final int[] tokens; // [count]
  final int[] positions; // [count]
  final int[] firstRow; // [sequences]
  final int[] length; // [sequences]
  final int[] slots; // [sequences]
  final int[] tileSequence; // [tiles]
  final int[] tileStart; // [tiles]
  final List<Block> blocks;

  /** Rows {@code [firstRow, firstRow + rows)}, which are tiles {@code [firstTile, ... + tiles)}. */
  record Block(int firstRow, int rows, int firstTile, int tiles) {}

  /** A tile of queries. */
  private record Tile(int sequence, int start, int rows) {}

  /**
   * @param blockRows most rows of a block, at least {@code tileRows}
   */
  PromptRows(List<SequenceStep> sequences, int tileRows, int blockRows) {
    count = sequences.stream().mapToInt(sequence -> sequence.tokens().length).sum();
    tokens = new int[count];
    positions = new int[count];
    firstRow = new int[sequences.size()];
    length = new int[sequences.size()];
    slots = new int[sequences.size()];
    List<Tile> tiles = new ArrayList<>();
    int row = 0;
    for (int s = 0; s < sequences.size(); s++) {
      int[] prompt = sequences.get(s).tokens();
      System.arraycopy(prompt, 0, tokens, row, prompt.length);
      for (int i = 0; i < prompt.length; i++) {
        positions[row + i] = i;
      }
      firstRow[s] = row;
      length[s] = prompt.length;
      slots[s] = sequences.get(s).cache().slot();
      for (int start = 0; start < prompt.length; start += tileRows) {
        tiles.add(new Tile(s, start, Math.min(tileRows, prompt.length - start)));
      }
      row += prompt.length;
    }
    blocks = new ArrayList<>();
    List<Tile> ordered = new ArrayList<>();
    cut(tiles, blockRows, ordered);
    tileSequence = ordered.stream().mapToInt(Tile::sequence).toArray();
    tileStart = ordered.stream().mapToInt(Tile::start).toArray();
  }

  /** The tiles of a block in descending order of their work, so that the device ends together. */
  private void cut(List<Tile> tiles, int blockRows, List<Tile> ordered) {
    int blockStart = 0;
    int rows = 0;
    List<Tile> block = new ArrayList<>();
    for (int i = 0; i <= tiles.size(); i++) {
      if (i == tiles.size() || rows + tiles.get(i).rows > blockRows) {
        blocks.add(new Block(blockStart, rows, ordered.size(), block.size()));
        block.sort(Comparator.comparingInt((Tile tile) -> -tile.start));
        ordered.addAll(block);
        block.clear();
        blockStart += rows;
        rows = 0;
      }
      if (i < tiles.size()) {
        block.add(tiles.get(i));
        rows += tiles.get(i).rows;
      }
    }
  }

  int sequences() {
    return firstRow.length;
  }

  int lastRow(int sequence) {
    return firstRow[sequence] + length[sequence] - 1;
  }

  int longest() {
    return Arrays.stream(length).max().orElse(0);
  }
}
