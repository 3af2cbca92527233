package dev.bulkgen.schedule;

import dev.bulkgen.cache.SequenceCache;
import java.util.List;

/**
 * What the coming step does, in this order; the pages are there.
 *
 * @param swapOuts sequences that give their pages up, youngest first
 * @param swapIns sequences that come back, oldest first
 * @param decodes one token each
 * @param prefills parts of prompts, in the order of admission
 */
public record StepPlan(
    List<Swap> swapOuts, List<Swap> swapIns, List<SequenceState> decodes, List<Part> prefills) {

  /** A sequence's cache, and where it goes: one of them in the host's swap area. */
  public record Swap(SequenceState sequence, SequenceCache from, SequenceCache to) {}

  /** Prompt tokens {@code [from, to)} of a sequence. */
  public record Part(SequenceState sequence, int from, int to) {
    /** Whether the prompt ends with it, and a token is drawn unless it is scored. */
    public boolean endsPrompt() {
      return to == sequence.promptLength();
    }

    public int tokens() {
      return to - from;
    }
  }

  public StepPlan {
    swapOuts = List.copyOf(swapOuts);
    swapIns = List.copyOf(swapIns);
    decodes = List.copyOf(decodes);
    prefills = List.copyOf(prefills);
  }

  /** Whether no forward pass is needed. */
  public boolean isEmpty() {
    return decodes.isEmpty() && prefills.isEmpty();
  }

  /** Rows of the forward pass that belong to prompts. */
  public int promptTokens() {
    return prefills.stream().mapToInt(Part::tokens).sum();
  }

  public int sequences() {
    return decodes.size() + prefills.size();
  }
}
