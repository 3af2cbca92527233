package dev.bulkgen.schedule;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.PrefixIndex;
import dev.bulkgen.schedule.SequenceState.Phase;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.function.ToIntFunction;

/**
 * Whether one more sequence may begin, beside those in flight.
 *
 * <p>It must be safe: in the order of their age, each can grow to its longest with the pages that
 * are free and those of the older ones, which have ended by then (the banker's algorithm, Dijkstra,
 * EWD 623). Pages that a sequence takes as it grows are granted the same way, the oldest first, so
 * that whatever the outputs become the oldest goes on and nobody waits for ever; who is refused is
 * swapped out, or sits out until an older one has ended. Those swapped out come back when there is
 * room, all to themselves in the end.
 *
 * <p>And it should be wise: with outputs as long as they have been so far, the pages in use must
 * not pass the pool's when the next, the second next ... of those in flight ends (the peak of Gong
 * et al., "Past-Future Scheduler for LLM Serving under SLA Guarantees", ASPLOS 2025). What turns
 * out longer is swapped.
 */
final class Admission {
  private static final int BUCKETS = 256;

  private final CacheLayout layout;
  private final PagePool pool;
  private final PrefixIndex prefixes;
  private final LengthForecast forecast;
  private final double[] pagesNow = new double[BUCKETS];
  private final int[] counts = new int[BUCKETS];
  private final int[] longest = new int[BUCKETS];

  Admission(CacheLayout layout, PagePool pool, PrefixIndex prefixes, LengthForecast forecast) {
    this.layout = layout;
    this.pool = pool;
    this.prefixes = prefixes;
    this.forecast = forecast;
  }

  /** Pages of all layers that a sequence may come to hold. */
  long worstCase(SequenceState sequence) {
    return MemoryPlan.pagesOf(layout, sequence.longest());
  }

  /**
   * @param flight running and swapped out, the oldest first
   */
  boolean takes(SequenceState next, Collection<SequenceState> flight) {
    if (flight.isEmpty()) {
      return true; // whoever is queued fits alone
    }
    int length = next.promptLength();
    int shared = prefixes.sharedPages(next.path(), length);
    Order order = new Order();
    for (SequenceState sequence : flight) {
      order.add(sequence);
    }
    int pages = layout.pagesPerLayer(length);
    order.add(pages - shared, next.mostPages() - pages);
    return order.slack(prefixes.pagesToPin(next.path(), length)) >= 0 && isWise(next, flight);
  }

  /** Whether {@code back} may run again with {@code pages} a layer. */
  boolean takesBack(SequenceState back, int pages, Collection<SequenceState> flight) {
    Order order = new Order();
    for (SequenceState sequence : flight) {
      if (sequence == back) {
        order.add(pages, back.mostPages() - pages);
      } else {
        order.add(sequence);
      }
    }
    return order.slack(0) >= 0;
  }

  /**
   * Whether all {@code growing} may take their pages.
   *
   * @param growing in the order of their age
   * @param growth pages a layer that each of them takes
   */
  boolean lets(
      List<SequenceState> growing,
      ToIntFunction<SequenceState> growth,
      Collection<SequenceState> flight) {
    Order order = new Order();
    long lack = 0;
    long taken = 0;
    int next = 0;
    for (SequenceState sequence : flight) {
      if (next < growing.size() && growing.get(next) == sequence) {
        int pages = growth.applyAsInt(sequence);
        if (pages > 0 && order.count > 0) {
          taken += pages;
          // Older ones lose what this one takes; itself and younger ones do not.
          order.least -= pages;
          lack = Math.min(lack, order.least);
        }
        next++;
      }
      order.add(sequence);
    }
    return taken == 0 || order.free(0) + lack >= 0;
  }

  /** Sequences in the order in which they can end, in pages of a layer. */
  private final class Order {
    private long own; // pages that are free when all so far have ended
    private long least = Long.MAX_VALUE; // of what the older ones free, less what each still needs
    private int count;

    void add(SequenceState sequence) {
      if (sequence.phase() == Phase.RUNNING) {
        int pages = sequence.cache().pages().count(0);
        add(pages - sequence.cache().sharedPages(), sequence.mostPages() - pages);
      }
    }

    void add(int ownPages, int need) {
      least = Math.min(least, own - need);
      own += ownPages;
      count++;
    }

    /** Pages free now, those of unread prefixes too, with so many more of them read. */
    long free(int pinned) {
      return (pool.total() - prefixes.pinnedPages() - pinned) / layout.layers() - own;
    }

    /** What is free beyond the need of whoever needs most; negative if somebody might starve. */
    long slack(int pinned) {
      return free(pinned) + least;
    }
  }

  private boolean isWise(SequenceState next, Collection<SequenceState> flight) {
    Arrays.fill(pagesNow, 0);
    Arrays.fill(counts, 0);
    Arrays.fill(longest, 0);
    for (SequenceState sequence : flight) {
      int pages = sequence.cache().pages().count(0) - sequence.cache().sharedPages();
      add(sequence.drawn(), sequence.maxTokens(), pages);
    }
    int shared = prefixes.sharedPages(next.path(), next.promptLength());
    add(0, next.maxTokens(), layout.pagesPerLayer(next.promptLength()) - shared);
    double room =
        pool.total()
            - prefixes.pinnedPages()
            - prefixes.pagesToPin(next.path(), next.promptLength());
    double pages = 0; // a layer, of those that last at least as long as the bucket
    int count = 0;
    for (int i = BUCKETS - 1; i >= 0; i--) {
      if (counts[i] > 0) {
        pages += pagesNow[i];
        count += counts[i];
        double then = pages + count * (double) longest[i] / layout.pageTokens();
        if (then * layout.layers() > room) {
          return false;
        }
      }
    }
    return true;
  }

  private void add(int drawn, int most, int pages) {
    int remaining = forecast.remaining(drawn, most);
    int bucket = Math.min(BUCKETS - 1, LengthForecast.bucket(remaining + 1));
    pagesNow[bucket] += pages;
    counts[bucket]++;
    longest[bucket] = Math.max(longest[bucket], remaining);
  }
}
