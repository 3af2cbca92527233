package dev.bulkgen.spark.plan;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.min;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.source.PromptTable;
import java.io.Serializable;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;

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

  static RowPlaces of(PromptTable table) {
    Dataset<Row> counts =
        table
            .rows()
            .groupBy(PromptTable.FILE, PromptTable.BLOCK)
            .agg(min(col(PromptTable.POSITION)), count(lit(1)))
            .orderBy(PromptTable.FILE, PromptTable.BLOCK);
    List<Row> found = counts.collectAsList();
    Map<String, Split> splits = new HashMap<>();
    long ordinal = 0;
    long line = 1;
    String file = "";
    for (Row row : found) {
      if (!row.getString(0).equals(file)) {
        file = row.getString(0);
        line = 1;
      }
      splits.put(name(file, row.getLong(1)), new Split(row.getLong(2), ordinal, line));
      ordinal += row.getLong(3);
      line += row.getLong(3);
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
