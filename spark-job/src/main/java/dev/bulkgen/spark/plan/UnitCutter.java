package dev.bulkgen.spark.plan;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/**
 * Cuts the rows, in their order, into units. Works on bins of neighbouring rows, so that the driver
 * sees a few thousand sums and never the rows.
 */
final class UnitCutter {
  /**
   * Sums over the rows of a bin.
   *
   * @param firstOrdinal of the bin
   */
  record Bin(long firstOrdinal, long rows, long cost, long bytes) implements Serializable {
    Bin plus(Bin other) {
      return new Bin(firstOrdinal, rows + other.rows, cost + other.cost, bytes + other.bytes);
    }
  }

  /** Enough units that a kill loses little and several engines stay busy. */
  private static final int UNITS_WANTED = 64;

  private static final long LEAST_COST = 20_000;
  private static final long MOST_COST = 2_000_000;
  private static final long MOST_ROWS = 10_000;

  /** A unit's rows are put in order in memory before they are written. */
  private static final long MOST_BYTES = 8L << 20;

  private UnitCutter() {}

  /** So many rows a bin that there are about four thousand bins; exact where N rows were asked. */
  static long binRows(long rows, OptionalInt unitRows) {
    if (unitRows.isPresent()) {
      return unitRows.getAsInt();
    }
    return Math.max(1, Math.min(1024, rows / 4096));
  }

  /**
   * The first ordinal of each unit, ascending.
   *
   * @param bins ascending, none of them empty
   */
  static long[] cut(List<Bin> bins, OptionalInt unitRows) {
    long total = bins.stream().mapToLong(Bin::cost).sum();
    long target = Math.max(LEAST_COST, Math.min(MOST_COST, total / UNITS_WANTED));
    List<Long> starts = new ArrayList<>();
    long rows = 0;
    long cost = 0;
    long bytes = 0;
    for (Bin bin : bins) {
      boolean full =
          unitRows.isPresent()
              || cost + bin.cost() > target
              || rows + bin.rows() > MOST_ROWS
              || bytes + bin.bytes() > MOST_BYTES;
      if (starts.isEmpty() || full) {
        starts.add(bin.firstOrdinal());
        rows = 0;
        cost = 0;
        bytes = 0;
      }
      rows += bin.rows();
      cost += bin.cost();
      bytes += bin.bytes();
    }
    return starts.stream().mapToLong(Long::longValue).toArray();
  }
}
