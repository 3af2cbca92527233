package dev.bulkgen.schedule;

import java.util.List;

/**
 * The sequences of the coming step; their pages are there.
 *
 * @param decodes one token each, in the order of their admission
 * @param prefills whole prompts, in the order of their admission
 */
public record StepPlan(List<SequenceState> decodes, List<SequenceState> prefills) {
  public StepPlan {
    decodes = List.copyOf(decodes);
    prefills = List.copyOf(prefills);
  }

  public boolean isEmpty() {
    return decodes.isEmpty() && prefills.isEmpty();
  }

  public int promptTokens() {
    return prefills.stream().mapToInt(SequenceState::promptLength).sum();
  }
}
