package dev.bulkgen.backend;

import dev.bulkgen.error.BulkgenException;
import java.util.List;

/** What a forward pass gave, one entry per sequence in the batch's order. */
public record StepOutput(List<SequenceOutput> sequences) {

  public sealed interface SequenceOutput {}

  /**
   * @param token the next token
   * @param logits as asked: [rows][vocabSize], before penalties and temperature; no rows for NONE
   */
  public record Token(int token, float[][] logits) implements SequenceOutput {}

  /**
   * A part of a prompt is done and nothing was drawn.
   *
   * @param logits as for a token
   */
  public record Fed(float[][] logits) implements SequenceOutput {}

  /**
   * The sequence cannot go on (its numbers are no longer finite); the others can. It fails too in a
   * step that was submitted before this was known.
   */
  public record Failure(BulkgenException error) implements SequenceOutput {}
}
