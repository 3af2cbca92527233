package dev.bulkgen.backend.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * A fixed team of threads that share the tasks of one run after the other. The caller is worker 0;
 * tasks are picked up as workers get free, so who runs what differs from run to run: tasks write to
 * places of their own and never depend on the worker's number beyond its scratch memory.
 *
 * <p>Runs follow each other within microseconds while a model is computed, hence workers look for
 * the next run for a while before they sleep. Meanwhile they offer their processor to others: the
 * operating system may have put two of the team on one, where each would keep the other waiting,
 * and it moves threads apart that are ready to run, but not those that sleep.
 */
final class ThreadTeam implements AutoCloseable {
  private static final int SPINS = 1_000;

  // Longer than what lies between two steps of a running engine.
  private static final long AWAKE_NANOS = 2_000_000;

  /** One piece of a run. */
  @FunctionalInterface
  interface Task {
    /**
     * @param worker 0 to {@link #size()} − 1; no two tasks at a time have the same
     */
    void run(int task, int worker);
  }

  private final Thread[] workers;
  private final AtomicInteger next = new AtomicInteger();
  private final AtomicInteger running = new AtomicInteger();
  private Task task;
  private int tasks;
  private Thread caller;
  private Throwable failure;
  private volatile int round;
  private volatile boolean closed;

  /**
   * @param name of the threads, followed by their number
   * @param size workers, the caller among them
   */
  ThreadTeam(String name, int size) {
    if (size < 1) {
      throw new IllegalArgumentException("a team of " + size + " threads");
    }
    workers = new Thread[size - 1];
    for (int i = 0; i < workers.length; i++) {
      int worker = i + 1;
      workers[i] = new Thread(() -> work(worker), name + "-" + worker);
      workers[i].setDaemon(true);
      workers[i].start();
    }
  }

  int size() {
    return workers.length + 1;
  }

  /**
   * Runs tasks 0 to {@code count} − 1 and returns when all are done. One thread calls at a time,
   * and never a task of the same team. What a task throws comes out here, of several the first;
   * tasks not yet begun are then left.
   */
  void run(int count, Task work) {
    if (closed) {
      throw new IllegalStateException("the thread team is closed");
    }
    if (count <= 1 || workers.length == 0) {
      for (int i = 0; i < count; i++) {
        work.run(i, 0);
      }
      return;
    }
    task = work;
    tasks = count;
    caller = Thread.currentThread();
    failure = null;
    next.set(0);
    running.set(workers.length);
    round++;
    for (Thread worker : workers) {
      LockSupport.unpark(worker);
    }
    takeTasks(0);
    awaitOthers();
    rethrow();
  }

  private void awaitOthers() {
    Patience patience = new Patience();
    while (running.get() > 0) {
      patience.pause(this);
    }
    task = null;
  }

  private void work(int worker) {
    int seen = 0;
    while (true) {
      Patience patience = new Patience();
      while (round == seen) {
        if (closed) {
          return;
        }
        patience.pause(this);
      }
      seen = round;
      takeTasks(worker);
      Thread waiting = caller;
      if (running.decrementAndGet() == 0) {
        LockSupport.unpark(waiting);
      }
    }
  }

  private void takeTasks(int worker) {
    int count = tasks;
    Task work = task;
    try {
      for (int i = next.getAndIncrement(); i < count; i = next.getAndIncrement()) {
        work.run(i, worker);
      }
    } catch (Throwable e) {
      // Far above any count, and as far below overflow: the others find no further task.
      next.set(1 << 30);
      keep(e);
    }
  }

  private synchronized void keep(Throwable e) {
    if (failure == null) {
      failure = e;
    } else if (failure != e) {
      failure.addSuppressed(e);
    }
  }

  private synchronized void rethrow() {
    if (failure instanceof RuntimeException e) {
      throw e;
    }
    if (failure instanceof Error e) {
      throw e;
    }
  }

  /** One wait: spins, then yields, then sleeps until it is unparked. */
  private static final class Patience {
    private int spins;
    private long start;

    void pause(Object blocker) {
      if (++spins < SPINS) {
        Thread.onSpinWait();
        return;
      }
      if (spins == SPINS) {
        start = System.nanoTime();
      }
      if (System.nanoTime() - start < AWAKE_NANOS) {
        Thread.yield();
      } else {
        LockSupport.park(blocker);
      }
    }
  }

  /** Ends the threads and waits for them. */
  @Override
  public void close() {
    closed = true;
    for (Thread worker : workers) {
      LockSupport.unpark(worker);
    }
    boolean interrupted = false;
    for (Thread worker : workers) {
      while (worker.isAlive()) {
        try {
          worker.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
