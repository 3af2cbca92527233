package dev.bulkgen.engine;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * A bounded queue from many submitting threads to the engine's thread, which can be closed. Each
 * submitting thread has a line of its own; lines are served in turn, and none takes more than its
 * share of the places, so that one task cannot hold the others up.
 */
final class RequestQueue {
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition notFull = lock.newCondition();
  private final Condition notEmpty = lock.newCondition();
  private final Map<Thread, Deque<Job<?>>> lines = new LinkedHashMap<>(); // next in turn first
  private final int capacity;
  private int size;
  private BulkgenException closedBy;

  RequestQueue(int capacity) {
    this.capacity = capacity;
  }

  /**
   * Adds a job, waiting while the queue is full.
   *
   * @throws BulkgenException the reason for closing if the queue is closed; QUEUE_CLOSED if the
   *     thread is interrupted, which stays interrupted
   */
  void put(Job<?> job) {
    lock.lock();
    try {
      while (closedBy == null && isFull(Thread.currentThread())) {
        notFull.await();
      }
      throwIfClosed();
      lines.computeIfAbsent(Thread.currentThread(), thread -> new ArrayDeque<>()).add(job);
      size++;
      notEmpty.signal();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new BulkgenException(
          ErrorCode.QUEUE_CLOSED, "interrupted while waiting for a place in the engine's queue", e);
    } finally {
      lock.unlock();
    }
  }

  /** A thread without a line always finds a place: the others' shares shrink, not theirs it has. */
  private boolean isFull(Thread thread) {
    Deque<Job<?>> line = lines.get(thread);
    return line != null && line.size() >= Math.max(1, capacity / lines.size());
  }

  /**
   * @throws BulkgenException the reason for closing, if closed
   */
  void throwIfClosed() {
    lock.lock();
    try {
      if (closedBy != null) {
        throw new BulkgenException(closedBy.code(), closedBy.getMessage(), closedBy);
      }
    } finally {
      lock.unlock();
    }
  }

  /** The oldest job of the line whose turn it is; null if there is none. */
  Job<?> poll() {
    lock.lock();
    try {
      if (lines.isEmpty()) {
        return null;
      }
      Map.Entry<Thread, Deque<Job<?>>> first = lines.entrySet().iterator().next();
      Thread thread = first.getKey();
      Deque<Job<?>> line = first.getValue();
      lines.remove(thread);
      Job<?> job = line.poll();
      if (!line.isEmpty()) {
        lines.put(thread, line);
      }
      size--;
      notFull.signalAll();
      return job;
    } finally {
      lock.unlock();
    }
  }

  /** Jobs in all lines. */
  int size() {
    lock.lock();
    try {
      return size;
    } finally {
      lock.unlock();
    }
  }

  /** Waits until there is a job or the queue is closed; whether it is still open. */
  boolean awaitJob() {
    lock.lock();
    try {
      while (closedBy == null && lines.isEmpty()) {
        notEmpty.awaitUninterruptibly();
      }
      return closedBy == null;
    } finally {
      lock.unlock();
    }
  }

  boolean isClosed() {
    lock.lock();
    try {
      return closedBy != null;
    } finally {
      lock.unlock();
    }
  }

  /** Refuses all from now on, for the first reason given. */
  void close(BulkgenException reason) {
    lock.lock();
    try {
      closedBy = closedBy == null ? reason : closedBy;
      notFull.signalAll();
      notEmpty.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Takes all jobs out. */
  List<Job<?>> drain() {
    lock.lock();
    try {
      List<Job<?>> all = new ArrayList<>();
      lines.values().forEach(all::addAll);
      lines.clear();
      size = 0;
      notFull.signalAll();
      return all;
    } finally {
      lock.unlock();
    }
  }
}
