package dev.bulkgen.spark.plan;

import java.io.Serializable;
import java.util.OptionalInt;

/**
 * Says where a unit ends, row by row in the order they come in.
 *
 * @param unitRows exactly so many rows a unit; 0 where the user does not say
 * @param target estimated tokens a unit
 * @param leastRows fewer would leave places of the batch empty; kept to unless rows are very long
 */
record UnitCutter(int unitRows, long target, long leastRows) implements Serializable {
  /** Enough units that a kill loses little and several engines stay busy. */
  private static final int UNITS_WANTED = 64;

  /** Below this a unit's overhead shows. */
  private static final long LEAST_COST = 20_000;

  private static final long MOST_ROWS = 10_000;

  /** A unit's rows are put in order in memory before they are written. */
  private static final long MOST_BYTES = 8L << 20;

  /** How far the fewest rows may exceed the target. */
  private static final long MOST_TARGETS = 10;

  /**
   * @param total estimated tokens of the input
   * @param minutesCost estimated tokens that a device does in the time a unit should take
   * @param leastRows as many as the batch has places
   */
  static UnitCutter of(OptionalInt unitRows, long total, long minutesCost, int leastRows) {
    long wanted = Math.max(LEAST_COST, total / UNITS_WANTED);
    return new UnitCutter(unitRows.orElse(0), Math.min(wanted, minutesCost), leastRows);
  }

  /** Whether a unit of {@code rows}, {@code cost} and {@code bytes} has no place for a row. */
  boolean isFull(long rows, long cost, long bytes, long nextCost, long nextBytes) {
    if (rows == 0) {
      return false;
    }
    if (unitRows > 0) {
      return rows == unitRows;
    }
    long limit = rows < leastRows ? MOST_TARGETS * target : target;
    return cost + nextCost > limit || rows == MOST_ROWS || bytes + nextBytes > MOST_BYTES;
  }

  /** About how many units there will be; exact where the rows of a unit are given. */
  long units(long rows, long cost) {
    long byRows = unitRows > 0 ? unitRows : MOST_ROWS;
    long byCost = unitRows > 0 ? 1 : (cost + target - 1) / target;
    return Math.max(1, Math.max((rows + byRows - 1) / byRows, byCost));
  }
}
