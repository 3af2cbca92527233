package dev.bulkgen.engine;

import dev.bulkgen.error.BulkgenException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * A request in the engine and the future of its results, in their order.
 *
 * @param <R> {@link Completion} or {@link Score}
 */
final class Job<R> {
  private final CompletableFuture<List<R>> future = new CompletableFuture<>();
  private final List<JobSequence> sequences = new ArrayList<>();
  private final R[] results;
  private int missing;

  /**
   * @param results how many there will be
   */
  @SuppressWarnings("unchecked") // only R go in, and the array stays here
  Job(int results) {
    this.results = (R[]) new Object[results];
    this.missing = results;
  }

  CompletableFuture<List<R>> future() {
    return future;
  }

  /** The sequences to run. */
  List<JobSequence> sequences() {
    return sequences;
  }

  /** Before the job is queued, on the submitting thread; then on the text thread only. */
  void complete(int index, R result) {
    results[index] = result;
    if (--missing == 0) {
      future.complete(Arrays.asList(results));
    }
  }

  /** Whether nobody waits any more: cancelled, failed, or complete. */
  boolean isDone() {
    return future.isDone();
  }

  void fail(BulkgenException error) {
    future.completeExceptionally(error);
  }
}
