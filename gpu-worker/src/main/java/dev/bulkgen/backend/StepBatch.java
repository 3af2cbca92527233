package dev.bulkgen.backend;

import java.util.List;

/** The sequences of one forward pass. */
public record StepBatch(List<SequenceStep> sequences) {
  public StepBatch {
    sequences = List.copyOf(sequences);
  }
}
