package dev.bulkgen.backend.cpu;

import static dev.bulkgen.cache.CacheLayout.TOKEN_TILE;

import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The tokens of a step side by side, a row each, without padding: sequences in the batch's order,
 * tokens in theirs.
 */
final class StepRows {
  /** What {@link #brokenAt} holds for a sequence whose rows are all finite. */
  static final int NOT_BROKEN = Integer.MAX_VALUE;

  final List<SequenceStep> sequences;
  final int count;
  final int[] tokens; // [count]
  final int[] positions; // [count]
  final int[] sequenceOf; // [count]
  final int[] firstRow; // [sequences]
  final int[] rowCount; // [sequences]
  final int[] firstTile; // [sequences], of a prompt's new tokens in the panels
  final int[] prompts; // indexes of the sequences that prefill
  final int[] decodes; // indexes of the others
  final int[] firstSplit; // [sequences], of a decoding sequence
  final int[] splitEnd; // [sequences], exclusive
  final int[] brokenAt; // [sequences], the first position whose numbers are not finite

  StepRows(StepBatch batch, WorkspaceShape shape) {
    sequences = batch.sequences();
    int sequenceCount = sequences.size();
    count = sequences.stream().mapToInt(sequence -> sequence.tokens().length).sum();
    tokens = new int[count];
    positions = new int[count];
    sequenceOf = new int[count];
    firstRow = new int[sequenceCount];
    rowCount = new int[sequenceCount];
    firstTile = new int[sequenceCount];
    firstSplit = new int[sequenceCount];
    splitEnd = new int[sequenceCount];
    brokenAt = new int[sequenceCount];
    Arrays.fill(brokenAt, NOT_BROKEN);
    int row = 0;
    int tile = 0;
    for (int s = 0; s < sequenceCount; s++) {
      SequenceStep sequence = sequences.get(s);
      firstRow[s] = row;
      rowCount[s] = sequence.tokens().length;
      int cached = sequence.cache().length();
      for (int token : sequence.tokens()) {
        tokens[row] = token;
        positions[row] = cached + row - firstRow[s];
        sequenceOf[row] = s;
        row++;
      }
      if (sequence.isPrefill()) {
        firstTile[s] = tile;
        tile += (rowCount[s] + TOKEN_TILE - 1) / TOKEN_TILE;
      } else {
        int visible = shape.model().attention().firstVisible(cached) - shape.sink();
        firstSplit[s] = Math.max(0, visible) / shape.splitTokens();
        splitEnd[s] = shape.splits(cached + 1);
      }
    }
    prompts = indexes(true);
    decodes = indexes(false);
  }

  private StepRows(StepRows all, int[] kept) {
    sequences = all.sequences;
    count = kept.length;
    tokens = IntStream.of(kept).map(row -> all.tokens[row]).toArray();
    positions = IntStream.of(kept).map(row -> all.positions[row]).toArray();
    sequenceOf = IntStream.of(kept).map(row -> all.sequenceOf[row]).toArray();
    firstRow = new int[sequences.size()];
    rowCount = new int[sequences.size()];
    for (int row = count - 1; row >= 0; row--) {
      firstRow[sequenceOf[row]] = row;
      rowCount[sequenceOf[row]]++;
    }
    firstTile = all.firstTile;
    prompts = all.prompts;
    decodes = all.decodes;
    firstSplit = all.firstSplit;
    splitEnd = all.splitEnd;
    brokenAt = all.brokenAt;
  }

  private int[] indexes(boolean prefill) {
    return IntStream.range(0, sequences.size())
        .filter(s -> sequences.get(s).isPrefill() == prefill)
        .toArray();
  }

  int lastRow(int sequence) {
    return firstRow[sequence] + rowCount[sequence] - 1;
  }

  boolean isPrefill(int row) {
    return sequences.get(sequenceOf[row]).isPrefill();
  }

  /** Tokens that the row's sequence had cached before the step. */
  int cached(int row) {
    return sequences.get(sequenceOf[row]).cache().length();
  }

  /** Splits of the context of a row that decodes. */
  int splits(int row) {
    return splitEnd[sequenceOf[row]] - firstSplit[sequenceOf[row]];
  }

  /** Rows whose logits somebody needs, ascending. */
  int[] neededRows() {
    return IntStream.range(0, count).filter(this::isNeeded).toArray();
  }

  private boolean isNeeded(int row) {
    SequenceStep sequence = sequences.get(sequenceOf[row]);
    if (sequence.logits() == LogitsRequest.ALL) {
      return true;
    }
    int last = lastRow(sequenceOf[row]);
    boolean isLast = row == last && (sequence.draws() || sequence.logits() == LogitsRequest.LAST);
    return isLast || row > last - sequence.targets().length;
  }

  /** Only the rows {@code kept}, ascending; rows of a sequence stay neighbours. */
  StepRows only(int[] kept) {
    return new StepRows(this, kept);
  }
}
