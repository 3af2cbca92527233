package dev.bulkgen.sampling;

import dev.bulkgen.error.BulkgenException;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * Chooses the next token of one sequence: penalties, temperature, top-k, top-p, min-p and the draw,
 * in that order. Keeps the sequence's token counts and its Philox counter, so it belongs to one
 * sequence and is told of every token.
 *
 * <p>A backend either calls {@link #sample} with logits in host memory, or, where {@link #onDevice}
 * has a value, chooses by it on its device and calls {@link #accept}; both lead to the same tokens.
 */
public interface Sampler {

  /**
   * Chooses from raw logits [vocabSize] at {@code offset}; the array's content is spent afterwards.
   *
   * @throws BulkgenException NUMERIC_FAILURE if a logit is NaN or all are −∞
   */
  int sample(float[] logits, int offset, int vocabSize);

  /** How many of the likeliest tokens to report beside each choice; empty: report nothing. */
  default OptionalInt logProbs() {
    return OptionalInt.empty();
  }

  /**
   * The choice after the next {@code pending} ones in a form for devices; empty, for all of the
   * sequence's tokens, if the sampler can choose on the host alone.
   *
   * @param pending choices that a device has been given and this does not know yet
   */
  default Optional<DeviceSampling> onDevice(int pending) {
    return Optional.empty();
  }

  /** The next choice. */
  default Optional<DeviceSampling> onDevice() {
    return onDevice(0);
  }

  /**
   * Tells of every token of prompt and output, once each, if penalties ask for them: a device
   * counts by itself what it chooses, but has to be told what came before.
   */
  default void forEachSeen(SeenToken visitor) {}

  /** A token and how often it has been generated, 0 for one that only the prompt has. */
  @FunctionalInterface
  interface SeenToken {
    void accept(int token, int count);
  }

  /** Takes the token that a device chose by {@link #onDevice} as the sequence's next. */
  default void accept(int token) {
    throw new UnsupportedOperationException("this sampler chooses on the host alone");
  }
}
