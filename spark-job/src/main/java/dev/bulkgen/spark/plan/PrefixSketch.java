package dev.bulkgen.spark.plan;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * How often prefixes repeat: the counts of the prefixes with the smallest hashes, which are a
 * sample of all that does not depend on the order or the place they are met in. Exact where there
 * are no more prefixes than it holds.
 */
final class PrefixSketch implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final int MOST = 2048;

  /** Rows that begin alike have to be so many a prefix, on average, to be put together. */
  private static final double LEAST_SHARED = 1.1;

  private final TreeMap<Long, Long> counts = new TreeMap<>();
  private long rows;
  private boolean whole = true;

  void add(long hash) {
    rows++;
    add(hash, 1);
  }

  private void add(long hash, long count) {
    if (counts.size() == MOST && hash > counts.lastKey() && !counts.containsKey(hash)) {
      whole = false;
      return;
    }
    counts.merge(hash, count, Long::sum);
    if (counts.size() > MOST) {
      counts.pollLastEntry();
      whole = false;
    }
  }

  void add(PrefixSketch other) {
    rows += other.rows;
    whole &= other.whole;
    other.counts.forEach(this::add);
  }

  /** Whether every prefix is in it. */
  boolean isWhole() {
    return whole;
  }

  long rows() {
    return rows;
  }

  /** Whether some rows begin alike, and not all of them. */
  boolean isShared() {
    long sampled = counts.values().stream().mapToLong(Long::longValue).sum();
    return counts.size() > 1 && sampled > LEAST_SHARED * counts.size();
  }

  /** Hashes, and how many rows have a smaller one; of use where it is whole. */
  Map<Long, long[]> places() {
    List<Map.Entry<Long, Long>> entries = new ArrayList<>(counts.entrySet());
    Map<Long, long[]> places = new TreeMap<>();
    long before = 0;
    for (Map.Entry<Long, Long> entry : entries) {
      places.put(entry.getKey(), new long[] {before, entry.getValue()});
      before += entry.getValue();
    }
    return places;
  }
}
