package dev.bulkgen.backend.cpu;

import static dev.bulkgen.cache.CacheLayout.TOKEN_TILE;

import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The tokens of a step side by side, a row each, without padding: sequences in the batch's order,
 * tokens in theirs.
 */
final class StepRows {
  final List<SequenceStep> sequences;
  final int count;
  final int[] tokens; // [count]
  final int[] positions; // [count]
  final int[] sequenceOf; // [count]
  final int[] firstRow; // [sequences]
  final int[] firstTile; // [sequences], of a prompt in the panels
  final int[] prompts; // indexes of the sequences that prefill
  final int[] decodes; // indexes of the others
  final int[] firstSplit; // [sequences], of a decoding sequence
  final int[] splitBase; // [sequences], its place in the split buffers
  final int[] splitEnd; // [sequences], exclusive

  StepRows(StepBatch batch, WorkspaceShape shape) {
    sequences = batch.sequences();
    int sequenceCount = sequences.size();
    count = sequences.stream().mapToInt(sequence -> sequence.tokens().length).sum();
    tokens = new int[count];
    positions = new int[count];
    sequenceOf = new int[count];
    firstRow = new int[sequenceCount];
    firstTile = new int[sequenceCount];
    firstSplit = new int[sequenceCount];
    splitBase = new int[sequenceCount];
    splitEnd = new int[sequenceCount];
    int row = 0;
    int tile = 0;
    int split = 0;
    for (int s = 0; s < sequenceCount; s++) {
      SequenceStep sequence = sequences.get(s);
      firstRow[s] = row;
      int cached = sequence.cache().length();
      for (int token : sequence.tokens()) {
        tokens[row] = token;
        positions[row] = cached + row - firstRow[s];
        sequenceOf[row] = s;
        row++;
      }
      if (sequence.isPrefill()) {
        firstTile[s] = tile;
        tile += (sequence.tokens().length + TOKEN_TILE - 1) / TOKEN_TILE;
      } else {
        int visible = shape.model().attention().firstVisible(cached) - shape.sink();
        firstSplit[s] = Math.max(0, visible) / shape.splitTokens();
        splitEnd[s] = shape.splits(cached + 1);
        splitBase[s] = split;
        split += splitEnd[s] - firstSplit[s];
      }
    }
    prompts = indexes(true);
    decodes = indexes(false);
  }

  private int[] indexes(boolean prefill) {
    return IntStream.range(0, sequences.size())
        .filter(s -> sequences.get(s).isPrefill() == prefill)
        .toArray();
  }

  int length(int sequence) {
    return sequences.get(sequence).tokens().length;
  }

  int lastRow(int sequence) {
    return firstRow[sequence] + length(sequence) - 1;
  }

  boolean isPrefill(int row) {
    return sequences.get(sequenceOf[row]).isPrefill();
  }

  /** Rows whose logits somebody needs: the last of each sequence, or all it asked for. */
  int[] logitRows() {
    return IntStream.range(0, count)
        .filter(
            row ->
                row == lastRow(sequenceOf[row])
                    || sequences.get(sequenceOf[row]).logits() == LogitsRequest.ALL)
        .toArray();
  }
}
