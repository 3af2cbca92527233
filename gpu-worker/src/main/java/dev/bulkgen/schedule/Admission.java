package dev.bulkgen.schedule;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.PrefixIndex;
import java.util.Arrays;
import java.util.Collection;

/**
 * Whether one more sequence may begin, beside those in flight.
 *
 * <p>It must be safe: in the order of their age, as many as fit at their longest stay on the
 * device, and all others fit, at their longest, into the swap area. Whatever the outputs become,
 * the youngest can then be swapped out until the rest can go on, so nobody waits for ever (the
 * banker's algorithm, Dijkstra, EWD 623).
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
  private final PagePool swapPool;
  private final int swapSlots;
  private final PrefixIndex prefixes;
  private final LengthForecast forecast;
  private final double[] pagesNow = new double[BUCKETS];
  private final int[] counts = new int[BUCKETS];
  private final int[] longest = new int[BUCKETS];

  Admission(
      CacheLayout layout,
      PagePool pool,
      PagePool swapPool,
      int swapSlots,
      PrefixIndex prefixes,
      LengthForecast forecast) {
    this.layout = layout;
    this.pool = pool;
    this.swapPool = swapPool;
    this.swapSlots = swapSlots;
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
    return isSafe(next, flight) && (swapSlots == 0 || isWise(next, flight));
  }

  private boolean isSafe(SequenceState next, Collection<SequenceState> flight) {
    int length = next.promptLength();
    long device = prefixes.pinnedPages() + prefixes.pagesToPin(next.path(), length);
    long swapped = 0;
    int swappedCount = 0;
    for (SequenceState sequence : flight) {
      long own = worstCase(sequence) - (long) layout.layers() * sequence.cache().sharedPages();
      if (swappedCount == 0 && device + own <= pool.total()) {
        device += own;
      } else {
        swapped += worstCase(sequence);
        swappedCount++;
      }
    }
    long shared = (long) layout.layers() * prefixes.sharedPages(next.path(), length);
    if (swappedCount > 0 || device + worstCase(next) - shared > pool.total()) {
      swapped += worstCase(next);
      swappedCount++;
    }
    return swapped <= swapPool.total() && swappedCount <= swapSlots;
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
