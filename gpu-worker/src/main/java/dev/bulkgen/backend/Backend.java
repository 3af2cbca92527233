package dev.bulkgen.backend;

import dev.bulkgen.cache.SequenceCache;

/**
 * One step wide: it has a model, owns the bytes of the cache, and runs one forward pass of the
 * batch. Called from the engine's thread only.
 *
 * <p>Calls take effect in the order in which they are made: pages that a sequence gave up may be
 * handed to another as soon as the step that used them is submitted.
 */
public interface Backend extends AutoCloseable {

  /** For logs and reports, such as {@code cpu (vector, 512 bit, 2 threads)}. */
  String description();

  /** A step that was submitted. */
  interface PendingStep {
    /**
     * Waits for the step; once only.
     *
     * @return one output per sequence, in the batch's order
     */
    StepOutput await();
  }

  /**
   * Starts to prefill and decode the sequences of {@code batch} and to draw each one's next token,
   * or to score its targets: rows of logits as many as fit the plan's workspace at a time. The K
   * and V of all tokens given are then cached (the caller advances each sequence's length by the
   * number of its tokens). A sequence's result never depends on the others.
   *
   * <p>One step may be submitted before the one before it has been waited for, if none of its
   * samplers needs the host for that step's token; they are waited for in order.
   */
  PendingStep submit(StepBatch batch);

  /** Whether {@link #submit} returns while the step still runs, so that planning ahead pays. */
  default boolean isAsynchronous() {
    return false;
  }

  /** Submits a step and waits for it. */
  default StepOutput forward(StepBatch batch) {
    return submit(batch).await();
  }

  /**
   * Copies the cached bytes of one sequence to another, which holds as many pages in every layer;
   * the caller advances its length.
   */
  void copyCache(SequenceCache from, SequenceCache to);

  /**
   * Copies a sequence's pages, windows and whatever else is kept of it to the host's swap area.
   *
   * @param to its pages and its slot are those of the swap area, as many pages in every layer
   */
  void swapOut(SequenceCache from, SequenceCache to);

  /**
   * Copies a sequence back: what it gives from then on is what it would have given without (P1).
   *
   * @param from its pages and its slot are those of the swap area
   * @param to as many pages in every layer, in any slot
   */
  void swapIn(SequenceCache from, SequenceCache to);

  /** Bytes of cache (pages, windows and staging) this backend has taken from its device. */
  long cacheBytes();

  @Override
  void close();
}
