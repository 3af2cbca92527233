package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;

/**
 * A row of the residual stream whose logits somebody needs.
 *
 * @param row of the residual stream
 * @param sequence whose token it is, in the pass
 * @param index among the logits that the sequence gives back
 * @param isLast of its sequence in this step
 * @param isDrawn whether the sequence's next token comes from it
 */
record LogitRow(
    int row, int sequence, SequenceStep step, int index, boolean isLast, boolean isDrawn) {

  boolean isScored() {
    return step.targets().length > 0;
  }

  boolean isWanted() {
    return step.logits() == LogitsRequest.ALL || isLast && step.logits() == LogitsRequest.LAST;
  }
}
