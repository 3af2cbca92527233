package dev.bulkgen.engine;

import dev.bulkgen.error.BulkgenException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** A request in the engine and the future of its completions, in the order of the samples. */
final class Job {
  private final GenerateRequest request;
  private final CompletableFuture<List<Completion>> future = new CompletableFuture<>();
  private final List<Sample> samples = new ArrayList<>();
  private final Completion[] completions;
  private int missing;

  Job(GenerateRequest request) {
    this.request = request;
    this.missing = request.params().n();
    this.completions = new Completion[missing];
  }

  GenerateRequest request() {
    return request;
  }

  CompletableFuture<List<Completion>> future() {
    return future;
  }

  /** The sequences to run. */
  List<Sample> samples() {
    return samples;
  }

  /** Text thread only. */
  void complete(int index, Completion completion) {
    completions[index] = completion;
    if (--missing == 0) {
      future.complete(Arrays.asList(completions));
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
