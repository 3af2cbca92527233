package dev.bulkgen.spark.plan;

import java.io.Serializable;
import java.util.HashMap;
import java.util.OptionalInt;

/**
 * In which order rows go into units, and which of them one task writes: the order of the input, or,
 * where prompts begin alike, that of their prefixes, so that the engine meets them together. Built
 * from sums; nothing here knows a row.
 */
final class RowOrder implements Serializable {
  private static final long serialVersionUID = 1L;

  /** What a task puts in order; more of it is spilled by Spark's sort. */
  private static final long PART_BYTES = 64L << 20;

  private static final long ROW_BYTES = 100;
  private static final long MOST_PARTS = 20_000;

  private final int level;
  private final boolean grouped;
  private final int parts;
  private final long lines;
  private final long partLines;
  private final long unprefixed;
  private final long prefixed;
  private final HashMap<Long, long[]> places = new HashMap<>();

  private RowOrder(int level, boolean grouped, InputScan.Facts facts, OptionalInt unitRows) {
    this.level = level;
    this.grouped = grouped;
    this.lines = Math.max(1, facts.lines());
    PrefixSketch sketch = facts.sketches().get(Math.max(0, level));
    this.prefixed = sketch.rows();
    this.unprefixed = facts.rows() - prefixed;
    long wanted = facts.textBytes() / PART_BYTES + facts.rows() * ROW_BYTES / PART_BYTES + 1;
    long each = (lines + wanted - 1) / wanted;
    // Units of a given number of rows do not end where a part ends.
    long unit = unitRows.orElse(1);
    this.partLines = Math.max((each + unit - 1) / unit * unit, lines / MOST_PARTS + 1);
    this.parts = (int) ((lines + partLines - 1) / partLines);
    if (grouped && sketch.isWhole()) {
      places.putAll(sketch.places());
    }
  }

  static RowOrder of(InputScan.Facts facts, OptionalInt unitRows) {
    for (int level = PrefixLengths.LEVELS - 1; level >= 0; level--) {
      if (facts.sketches().get(level).isShared()) {
        return new RowOrder(level, true, facts, unitRows);
      }
    }
    return new RowOrder(0, false, facts, unitRows);
  }

  /** How many tasks write. */
  int parts() {
    return parts;
  }

  /** The length of the prefix that counts, where rows are put together by one. */
  int level() {
    return level;
  }

  boolean isGrouped() {
    return grouped;
  }

  /** The task that writes a row. Rows of one prefix are neighbours, and so are its tasks. */
  int part(long ordinal, long prefix) {
    return (int) Math.min(parts - 1L, Math.max(0, place(ordinal, prefix)) / partLines);
  }

  private long place(long ordinal, long prefix) {
    if (!grouped) {
      return ordinal;
    }
    double share = (double) ordinal / lines;
    if (prefix == PrefixLengths.NONE) {
      return (long) (unprefixed * share);
    }
    long[] known = places.get(prefix);
    if (known != null) {
      return unprefixed + known[0] + (long) (known[1] * share);
    }
    // Hashes are spread evenly, from the least number to the greatest.
    double rank = prefix / 0x1p64 + 0.5;
    return unprefixed + (long) (prefixed * rank);
  }
}
