package dev.bulkgen.engine;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.cache.SequenceCache;

/** Another backend, for tests that change a call or two of it. */
class ForwardingBackend implements Backend {
  private final Backend backend;

  ForwardingBackend(Backend backend) {
    this.backend = backend;
  }

  @Override
  public String description() {
    return backend.description();
  }

  @Override
  public PendingStep submit(StepBatch batch) {
    return backend.submit(batch);
  }

  @Override
  public boolean isAsynchronous() {
    return backend.isAsynchronous();
  }

  @Override
  public void copyCache(SequenceCache from, SequenceCache to) {
    backend.copyCache(from, to);
  }

  @Override
  public void swapOut(SequenceCache from, SequenceCache to) {
    backend.swapOut(from, to);
  }

  @Override
  public void swapIn(SequenceCache from, SequenceCache to) {
    backend.swapIn(from, to);
  }

  @Override
  public long cacheBytes() {
    return backend.cacheBytes();
  }

  @Override
  public void close() {
    backend.close();
  }
}
