package dev.bulkgen.engine;

import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Where tokens become text and completions reach those who wait, beside the engine's thread. What
 * it is given runs in order; whoever is far ahead of it waits.
 */
final class TextThread implements AutoCloseable {
  private static final int MOST_STEPS_BEHIND = 64;

  private final ThreadPoolExecutor executor;
  private volatile Thread thread;

  /**
   * @param failed is told what a task threw; later ones still run
   */
  TextThread(Consumer<Throwable> failed) {
    executor =
        new ThreadPoolExecutor(
            1,
            1,
            0,
            TimeUnit.SECONDS,
            new ArrayBlockingQueue<>(MOST_STEPS_BEHIND),
            task -> {
              thread = new Thread(task, "bulkgen-text");
              thread.setDaemon(true);
              return thread;
            }) {
          @Override
          protected void afterExecute(Runnable task, Throwable error) {
            if (error != null) {
              failed.accept(error);
            }
          }
        };
    executor.setRejectedExecutionHandler((task, full) -> waitForRoom(task));
  }

  private void waitForRoom(Runnable task) {
    boolean interrupted = false;
    boolean waits = true;
    while (waits) {
      try {
        executor.getQueue().put(task);
        waits = false;
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  void run(Runnable task) {
    executor.execute(task);
  }

  /** Whether the caller runs on it. */
  boolean isCurrent() {
    return Thread.currentThread() == thread;
  }

  /** Waits for all it was given. */
  @Override
  public void close() {
    executor.shutdown();
    boolean interrupted = false;
    while (!executor.isTerminated()) {
      try {
        executor.awaitTermination(1, TimeUnit.MINUTES);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
