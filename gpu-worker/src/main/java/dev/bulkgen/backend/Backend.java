package dev.bulkgen.backend;

import dev.bulkgen.cache.SequenceCache;

/**
 * One step wide: it has a model, owns the bytes of the cache, and runs one forward pass of the
 * batch. Called from the engine's thread only.
 */
public interface Backend extends AutoCloseable {

  /** For logs and reports, such as {@code cpu (vector, 512 bit, 2 threads)}. */
  String description();

  /**
   * Prefills and decodes the sequences of {@code batch} and draws each one's next token. On return
   * the K and V of all tokens given are cached (the caller advances each sequence's length by the
   * number of its tokens). A sequence's result never depends on the others.
   *
   * @return one output per sequence, in the batch's order
   */
  StepOutput forward(StepBatch batch);

  /**
   * Copies the cached bytes of one sequence to another, which holds as many pages in every layer;
   * the caller advances its length.
   */
  void copyCache(SequenceCache from, SequenceCache to);

  /** Bytes of cache (pages and windows) this backend has taken from the machine. */
  long cacheBytes();

  @Override
  void close();
}
