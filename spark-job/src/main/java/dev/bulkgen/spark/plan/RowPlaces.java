package dev.bulkgen.spark.plan;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Each row's place in the whole input, whatever way Spark cuts and packs the files: splits are put
 * in the order of file and offset, and within a split Spark keeps the file's order.
 */
final class RowPlaces implements Serializable {
  private static final long serialVersionUID = 1L;

  private record Split(long firstPosition, long firstOrdinal, long firstLine)
      implements Serializable {}

  private final Map<String, Split> splits;
  private final long rows;

  private RowPlaces(Map<String, Split> splits, long rows) {
    this.splits = splits;
    this.rows = rows;
  }

  static RowPlaces of(List<InputScan.Split> found) {
    List<InputScan.Split> sorted = new ArrayList<>(found);
    sorted.sort(
        Comparator.comparing(InputScan.Split::file).thenComparingLong(InputScan.Split::block));
    Map<String, Split> splits = new HashMap<>();
    long ordinal = 0;
    long line = 1;
    String file = "";
    for (InputScan.Split split : sorted) {
      if (!split.file().equals(file)) {
        file = split.file();
        line = 1;
      }
      splits.put(name(file, split.block()), new Split(split.firstPosition(), ordinal, line));
      ordinal += split.lines();
      line += split.lines();
    }
    return new RowPlaces(splits, ordinal);
  }

  private static String name(String file, long block) {
    return block + " " + file;
  }

  long rows() {
    return rows;
  }

  long ordinal(String file, long block, long position) {
    Split split = split(file, block);
    return split.firstOrdinal() + position - split.firstPosition();
  }

  /** Counted from 1 in the row's file. */
  long line(String file, long block, long position) {
    Split split = split(file, block);
    return split.firstLine() + position - split.firstPosition();
  }

  private Split split(String file, long block) {
    Split split = splits.get(name(file, block));
    if (split == null) {
      throw BulkgenException.of(
          ErrorCode.INPUT_INVALID, "%s changed while it was read; run again", file);
    }
    return split;
  }
}
