package dev.bulkgen.engine;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.schedule.SequenceState;

/** One of a job's sequences, as the engine's thread sees it. */
sealed interface JobSequence permits Sample, ScoreWindow {
  Job<?> job();

  SequenceState sequence();

  /** What it does in a step that feeds {@code tokens}. */
  SequenceStep step(int[] tokens, SequenceStep.Kind kind);

  /** Whether the backend goes on without the host's choosing a token. */
  boolean runsAhead();
}
