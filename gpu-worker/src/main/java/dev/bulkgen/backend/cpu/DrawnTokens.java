package dev.bulkgen.backend.cpu;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.StepCheck;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.error.BulkgenException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * What the newest step drew for each window slot, for a next one whose caller has not waited to see
 * it.
 */
final class DrawnTokens {
  private static final int NONE = -1;

  private final int[] tokens; // [slots]
  private final BulkgenException[] failures; // [slots], null but for a sequence that has failed

  DrawnTokens(int slots) {
    tokens = new int[slots];
    failures = new BulkgenException[slots];
    Arrays.fill(tokens, NONE);
  }

  /**
   * The batch with every token in it. A sequence that has failed since gets a token that stands for
   * none, and nobody sees what becomes of it.
   *
   * @throws BulkgenException INTERNAL where a token is missing and none was drawn
   */
  StepBatch complete(StepBatch batch) {
    List<SequenceStep> complete = new ArrayList<>(batch.sequences().size());
    for (SequenceStep sequence : batch.sequences()) {
      complete.add(sequence.tokens().length > 0 ? sequence : complete(sequence));
    }
    return new StepBatch(complete);
  }

  private SequenceStep complete(SequenceStep sequence) {
    int slot = sequence.cache().slot();
    if (tokens[slot] == NONE && failures[slot] == null) {
      throw StepCheck.noToken(slot);
    }
    int[] token = {Math.max(0, tokens[slot])};
    return new SequenceStep(
        sequence.cache(), token, sequence.sampler(), sequence.logits(), sequence.kind());
  }

  /** Why a sequence cannot go on whose token was to come from the step before; null if it can. */
  BulkgenException failure(SequenceStep sequence) {
    return sequence.tokens().length > 0 ? null : failures[sequence.cache().slot()];
  }

  /** Takes the place of what the step before drew. */
  void keep(StepBatch batch, StepOutput output) {
    Arrays.fill(tokens, NONE);
    Arrays.fill(failures, null);
    for (int s = 0; s < batch.sequences().size(); s++) {
      int slot = batch.sequences().get(s).cache().slot();
      if (output.sequences().get(s) instanceof StepOutput.Token drawn) {
        tokens[slot] = drawn.token();
      } else if (output.sequences().get(s) instanceof StepOutput.Failure failure) {
        failures[slot] = failure.error();
      }
    }
  }
}
