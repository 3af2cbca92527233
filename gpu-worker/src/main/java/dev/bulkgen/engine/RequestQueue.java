package dev.bulkgen.engine;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/** A bounded queue from many submitting threads to the engine's thread, which can be closed. */
final class RequestQueue {
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition notFull = lock.newCondition();
  private final Condition notEmpty = lock.newCondition();
  private final Deque<Job> jobs = new ArrayDeque<>();
  private final int capacity;
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
  void put(Job job) {
    lock.lock();
    try {
      while (closedBy == null && jobs.size() >= capacity) {
        notFull.await();
      }
      throwIfClosed();
      jobs.add(job);
      notEmpty.signal();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new BulkgenException(
          ErrorCode.QUEUE_CLOSED, "interrupted while waiting for a place in the engine's queue", e);
    } finally {
      lock.unlock();
    }
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

  /** The oldest job; null if there is none. */
  Job poll() {
    lock.lock();
    try {
      Job job = jobs.poll();
      notFull.signal();
      return job;
    } finally {
      lock.unlock();
    }
  }

  /** Waits until there is a job or the queue is closed; whether it is still open. */
  boolean awaitJob() {
    lock.lock();
    try {
      while (closedBy == null && jobs.isEmpty()) {
        notEmpty.awaitUninterruptibly();
      }
      return closedBy == null;
    } finally {
      lock.unlock();
    }
  }

  int size() {
    lock.lock();
    try {
      return jobs.size();
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
  List<Job> drain() {
    lock.lock();
    try {
      List<Job> all = new ArrayList<>(jobs);
      jobs.clear();
      notFull.signalAll();
      return all;
    } finally {
      lock.unlock();
    }
  }
}
