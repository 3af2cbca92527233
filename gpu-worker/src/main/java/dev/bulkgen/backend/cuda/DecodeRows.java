package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import java.util.Arrays;
import java.util.List;

/**
 * The decoding sequences of a step, a row each, filled up to a bucket size with rows that do
 * nothing, so that one captured graph serves all batches of a bucket.
 */
final class DecodeRows {
  static final int NO_ROW = -1;

  final int count;
  final int bucket;
  final int[] tokens; // [bucket], −1: no row, −2: the one that the step before draws
  final int[] positions; // [bucket], −1: no row
  final int[] slots; // [bucket]
  final int longest;

  /**
   * @param maxRows most sequences in flight
   */
  DecodeRows(List<SequenceStep> sequences, int maxRows) {
    count = sequences.size();
    bucket = bucket(count, maxRows);
    tokens = new int[bucket];
    positions = new int[bucket];
    slots = new int[bucket];
    Arrays.fill(tokens, NO_ROW);
    Arrays.fill(positions, NO_ROW);
    int most = 0;
    for (int row = 0; row < count; row++) {
      SequenceStep sequence = sequences.get(row);
      boolean isKnown = sequence.tokens().length > 0;
      tokens[row] = isKnown ? sequence.tokens()[0] : EmbeddingKernels.AS_DRAWN;
      positions[row] = sequence.cache().length();
      slots[row] = sequence.cache().slot();
      most = Math.max(most, positions[row] + 1);
    }
    longest = most;
  }

  /** Powers of two up to 8, then steps of at most an eighth of the size. */
  static int bucket(int count, int maxRows) {
    int step = 1;
    while (count > 16 * step) {
      step *= 2;
    }
    int bucket = count <= 8 ? powerOfTwo(count) : (count + step - 1) / step * step;
    return Math.min(bucket, maxRows);
  }

  /** The smallest power of two that is at least {@code count}. */
  static int powerOfTwo(int count) {
    return count <= 1 ? 1 : Integer.highestOneBit(count - 1) * 2;
  }
}
