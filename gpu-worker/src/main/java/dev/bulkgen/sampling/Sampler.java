package dev.bulkgen.sampling;

import dev.bulkgen.error.BulkgenException;

/**
 * Chooses the next token of one sequence: penalties, temperature, top-k, top-p, min-p and the draw,
 * in that order. Keeps the sequence's token counts and its Philox counter, so it belongs to one
 * sequence and is told of every token.
 */
public interface Sampler {

  /**
   * Chooses from raw logits [vocabSize] at {@code offset}; the array's content is spent afterwards.
   *
   * @throws BulkgenException NUMERIC_FAILURE if a logit is NaN or all are −∞
   */
  int sample(float[] logits, int offset, int vocabSize);
}
