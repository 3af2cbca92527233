package dev.bulkgen.schedule;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.schedule.SequenceState.Phase;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/**
 * Decides who is in the next step: continuous batching (Yu et al., "Orca", OSDI 2022, §3.1), where
 * sequences join and leave at every step. First come, first served: while the oldest waiting
 * sequence does not fit, none behind it is admitted.
 *
 * <p>A sequence is admitted when a slot is free and the pool holds its worst case (all tokens it
 * may generate) beside the worst cases of those running. The reservation is only counted; pages are
 * taken as the sequence grows. So a running sequence never lacks a page and is never preempted.
 *
 * <p>Pure: no device, clock or thread; the same calls give the same steps.
 */
public final class Scheduler {
  private final CacheLayout layout;
  private final PagePool pool;
  private final int slots;
  private final int prefillTokens;
  private final BitSet usedSlots;
  private final Deque<SequenceState> waiting = new ArrayDeque<>();
  private final Set<SequenceState> running = new LinkedHashSet<>();
  private long reservedPages;

  /**
   * @param slots most sequences running
   * @param prefillTokens most prompt tokens of one step
   */
  public Scheduler(CacheLayout layout, PagePool pool, int slots, int prefillTokens) {
    this.layout = layout;
    this.pool = pool;
    this.slots = slots;
    this.prefillTokens = prefillTokens;
    this.usedSlots = new BitSet(slots);
  }

  /**
   * Queues a sequence.
   *
   * @throws IllegalArgumentException if it could not run even alone
   */
  public void add(SequenceState sequence) {
    if (sequence.promptLength() > prefillTokens) {
      throw new IllegalArgumentException(
          "sequence %d: a prompt of %d tokens, but a step takes %d"
              .formatted(sequence.id(), sequence.promptLength(), prefillTokens));
    }
    if (worstCase(sequence) > pool.total()) {
      throw new IllegalArgumentException(
          "sequence %d: needs up to %d pages of %d"
              .formatted(sequence.id(), worstCase(sequence), pool.total()));
    }
    waiting.add(sequence);
  }

  /** Admits whom it can, takes the step's pages, and says what the step does; may be empty. */
  public StepPlan plan() {
    List<SequenceState> decodes = List.copyOf(running);
    List<SequenceState> prefills = new ArrayList<>();
    int tokens = 0;
    while (!waiting.isEmpty() && running.size() < slots) {
      SequenceState next = waiting.peek();
      boolean fits =
          tokens + next.promptLength() <= prefillTokens
              && reservedPages + worstCase(next) <= pool.total();
      if (!fits) {
        break;
      }
      waiting.remove();
      admit(next);
      prefills.add(next);
      tokens += next.promptLength();
    }
    for (SequenceState sequence : running) {
      int length = sequence.cache().length() + sequence.nextTokens().length;
      pool.grow(sequence.cache().pages(), layout.pagesPerLayer(length));
    }
    return new StepPlan(decodes, prefills);
  }

  /** Notes that a step of {@code sequence} is done and gave {@code token}. */
  public void advance(SequenceState sequence, int token) {
    sequence.cache().advance(sequence.nextTokens().length);
    sequence.append(token);
  }

  /**
   * Takes a sequence out, finished, failed or cancelled: its pages and slot are free at once. Does
   * nothing if it has ended.
   */
  public void end(SequenceState sequence) {
    if (sequence.phase() == Phase.RUNNING) {
      pool.release(sequence.cache().pages());
      usedSlots.clear(sequence.cache().slot());
      reservedPages -= sequence.reservedPages();
      running.remove(sequence);
    } else if (sequence.phase() == Phase.WAITING) {
      waiting.remove(sequence);
    }
    sequence.end();
  }

  public int waitingCount() {
    return waiting.size();
  }

  public int runningCount() {
    return running.size();
  }

  public boolean isIdle() {
    return waiting.isEmpty() && running.isEmpty();
  }

  /** All sequences that have not ended, running ones first. */
  public List<SequenceState> sequences() {
    List<SequenceState> all = new ArrayList<>(running);
    all.addAll(waiting);
    return all;
  }

  /** Pages promised to those running; never more than the pool has. */
  public long reservedPages() {
    return reservedPages;
  }

  private void admit(SequenceState sequence) {
    int slot = usedSlots.nextClearBit(0);
    usedSlots.set(slot);
    long pages = worstCase(sequence);
    reservedPages += pages;
    sequence.start(new SequenceCache(slot, layout.layers()), pages);
    running.add(sequence);
  }

  private long worstCase(SequenceState sequence) {
    return MemoryPlan.pagesOf(layout, sequence.longest());
  }
}
