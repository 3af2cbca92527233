package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.PageTable;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToIntFunction;
import java.util.stream.IntStream;

/**
 * The prompts of a step, whole or in parts, side by side, a row a token, without padding, and their
 * cut into blocks of rows that go through a layer together. Blocks end where tiles of queries end.
 */
final class PromptRows {
  final int count;
  final int[] tokens; // [count]
  final int[] positions; // [count]
  final int[] firstRow; // [sequences] of position 0, negative where that is before the step
  final int[] length; // [sequences] tokens after the step
  final int[] earlier; // [sequences] tokens before it
  final int[] slots; // [sequences]
  final int[] stored; // [sequences] tokens of prompts that go into the cache, 0: none yet
  final int[] sharedPages; // [sequences]
  final int[] staged; // [sequences] tokens that have staging pages
  final int[] tileSequence; // [tiles]
  final int[] tileStart; // [tiles] positions
  final List<Block> blocks;

  /** Rows {@code [firstRow, firstRow + rows)}, which are tiles {@code [firstTile, ... + tiles)}. */
  record Block(int firstRow, int rows, int firstTile, int tiles) {}

  /** A tile of queries. */
  private record Tile(int sequence, int start, int rows) {}

  /**
   * @param blockRows most rows of a block, at least {@code tileRows}
   */
  PromptRows(List<SequenceStep> sequences, CacheLayout layout, int tileRows, int blockRows) {
    count = sequences.stream().mapToInt(sequence -> sequence.tokens().length).sum();
    tokens = new int[count];
    positions = new int[count];
    firstRow = new int[sequences.size()];
    length = perSequence(sequences, SequenceStep::lengthAfter);
    earlier = perSequence(sequences, sequence -> sequence.cache().length());
    slots = perSequence(sequences, sequence -> sequence.cache().slot());
    stored = perSequence(sequences, sequence -> stored(sequence, layout));
    sharedPages = perSequence(sequences, sequence -> sequence.cache().sharedPages());
    staged = perSequence(sequences, sequence -> staged(sequence.cache().staging(), layout));
    List<Tile> tiles = new ArrayList<>();
    int row = 0;
    for (int s = 0; s < sequences.size(); s++) {
      int[] prompt = sequences.get(s).tokens();
      System.arraycopy(prompt, 0, tokens, row, prompt.length);
      for (int i = 0; i < prompt.length; i++) {
        positions[row + i] = earlier[s] + i;
      }
      firstRow[s] = row - earlier[s];
      for (int start = 0; start < prompt.length; start += tileRows) {
        tiles.add(new Tile(s, earlier[s] + start, Math.min(tileRows, prompt.length - start)));
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

  /** Of the sequence's first token of the step. */
  int beginRow(int sequence) {
    return firstRow[sequence] + earlier[sequence];
  }

  int lastRow(int sequence) {
    return firstRow[sequence] + length[sequence] - 1;
  }

  /** Tokens that the longest of the prompts has in this step. */
  int longestPart() {
    return IntStream.range(0, sequences()).map(s -> length[s] - earlier[s]).max().orElse(0);
  }

  int longestStored() {
    return Arrays.stream(stored).max().orElse(0);
  }

  boolean hasStaged() {
    return IntStream.range(0, sequences()).anyMatch(s -> staged[s] > earlier[s]);
  }

  private static int[] perSequence(
      List<SequenceStep> sequences, ToIntFunction<SequenceStep> number) {
    return sequences.stream().mapToInt(number).toArray();
  }

  /** Quantized prompts are encoded as a whole, at their end. */
  private static int stored(SequenceStep sequence, CacheLayout layout) {
    boolean isKept = layout.isExact() || sequence.kind() == SequenceStep.Kind.PROMPT_END;
    return isKept ? sequence.lengthAfter() : 0;
  }

  private static int staged(PageTable staging, CacheLayout layout) {
    int pages = IntStream.range(0, layout.layers()).map(staging::count).min().orElse(0);
    return pages * layout.staging().pageTokens();
  }
}
