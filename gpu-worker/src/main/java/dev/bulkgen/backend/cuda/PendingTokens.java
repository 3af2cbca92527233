package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepCheck;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.sampling.Sampler;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.IdentityHashMap;
import java.util.Map;

/**
 * Tokens that the device has been told to draw: those of the last step, for the next one to go on
 * with, and those that their samplers do not know yet.
 */
final class PendingTokens {
  /** By sampler, the slots that the last step draws for. */
  private Map<Sampler, Integer> last = Map.of();

  private Map<Sampler, Integer> drawing = new IdentityHashMap<>();
  private final Deque<Map<Sampler, Integer>> unknown = new ArrayDeque<>(); // steps not waited for

  /** Choices that a sampler does not know yet. */
  int of(Sampler sampler) {
    return (int) unknown.stream().filter(step -> step.containsKey(sampler)).count();
  }

  /** Another step begins; one that failed on its way is forgotten. */
  void begin() {
    drawing = new IdentityHashMap<>();
  }

  /** The step draws a sequence's token on the device. */
  void draws(SequenceStep sequence) {
    drawing.put(sequence.sampler(), sequence.cache().slot());
  }

  void submitted() {
    last = drawing;
    unknown.add(drawing);
  }

  /** The oldest step has been waited for: its samplers are about to be told. */
  void arrived() {
    unknown.remove();
  }

  /**
   * @throws BulkgenException INTERNAL for a sequence that is to go on with a token which the device
   *     has not drawn in the step before
   */
  void check(SequenceStep sequence) {
    if (sequence.tokens().length > 0) {
      return;
    }
    int slot = sequence.cache().slot();
    Integer drawnFor = last.get(sequence.sampler());
    if (drawnFor == null || drawnFor != slot) {
      throw StepCheck.noToken(slot);
    }
  }
}
