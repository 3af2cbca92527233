package dev.bulkgen.spark.plan;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.length;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.octet_length;
import static org.apache.spark.sql.functions.to_json;

import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.source.PromptTable;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.TaskContext;
import org.apache.spark.rdd.RDD;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.catalyst.InternalRow;
import scala.collection.Iterator;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction2;

/**
 * Sums over the input, taken partition by partition and added up on the driver: one query plan and
 * no shuffle, so that planning a small input costs little more than reading it.
 */
final class InputScan {
  private static final int FILE = 0;
  private static final int BLOCK = 1;
  private static final int POSITION = 2;
  private static final int IS_ROW = 3;
  private static final int COST = 4;
  private static final int BYTES = 5;

  /** A piece of a file that is read in one go, and the lines or records in it. */
  record Split(String file, long block, long firstPosition, long lines) implements Serializable {}

  private final RDD<InternalRow> rows;

  private InputScan(RDD<InternalRow> rows) {
    this.rows = rows;
  }

  static InputScan of(PromptTable table, JobSettings settings) {
    Column row = col(PromptTable.ROW);
    Column bytes = coalesce(length(to_json(row)), octet_length(col(PromptTable.RAW)), lit(0));
    return new InputScan(
        table
            .rows()
            .select(
                col(PromptTable.FILE),
                col(PromptTable.BLOCK),
                col(PromptTable.POSITION),
                row.isNotNull().or(col(PromptTable.REASON).isNotNull()),
                CostEstimate.tokens(settings, table),
                bytes.cast("long"))
            .queryExecution()
            .toRdd());
  }

  /** The pieces the input is read in, in no order. */
  List<Split> splits() {
    List<Split> splits = new ArrayList<>();
    for (Split[] part : (Split[][]) run(new SplitTask(), Split[].class)) {
      splits.addAll(List.of(part));
    }
    return splits;
  }

  /**
   * Sums over bins of neighbouring rows, ascending, none empty.
   *
   * @param limit only rows of a lower ordinal count
   */
  List<UnitCutter.Bin> bins(RowPlaces places, long binRows, long limit) {
    TreeMap<Long, UnitCutter.Bin> bins = new TreeMap<>();
    BinTask task = new BinTask(places, binRows, limit);
    for (UnitCutter.Bin[] part : (UnitCutter.Bin[][]) run(task, UnitCutter.Bin[].class)) {
      for (UnitCutter.Bin bin : part) {
        bins.merge(bin.firstOrdinal(), bin, UnitCutter.Bin::plus);
      }
    }
    return List.copyOf(bins.values());
  }

  private <T> Object run(
      AbstractFunction2<TaskContext, Iterator<InternalRow>, T> task, Class<T> result) {
    return rows.sparkContext().runJob(rows, task, ClassTag$.MODULE$.<T>apply(result));
  }

  private static final class SplitTask
      extends AbstractFunction2<TaskContext, Iterator<InternalRow>, Split[]>
      implements Serializable {
    private static final long serialVersionUID = 1L;

    @Override
    public Split[] apply(TaskContext context, Iterator<InternalRow> rows) {
      Map<String, Split> splits = new HashMap<>();
      while (rows.hasNext()) {
        InternalRow row = rows.next();
        String file = row.getUTF8String(FILE).toString();
        long block = row.getLong(BLOCK);
        long position = row.getLong(POSITION);
        splits.merge(
            block + " " + file,
            new Split(file, block, position, 1),
            (first, next) -> new Split(file, block, first.firstPosition(), first.lines() + 1));
      }
      return splits.values().toArray(Split[]::new);
    }
  }

  private static final class BinTask
      extends AbstractFunction2<TaskContext, Iterator<InternalRow>, UnitCutter.Bin[]>
      implements Serializable {
    private static final long serialVersionUID = 1L;

    private final RowPlaces places;
    private final long binRows;
    private final long limit;

    BinTask(RowPlaces places, long binRows, long limit) {
      this.places = places;
      this.binRows = binRows;
      this.limit = limit;
    }

    @Override
    public UnitCutter.Bin[] apply(TaskContext context, Iterator<InternalRow> rows) {
      Map<Long, UnitCutter.Bin> bins = new HashMap<>();
      while (rows.hasNext()) {
        InternalRow row = rows.next();
        long ordinal =
            places.ordinal(
                row.getUTF8String(FILE).toString(), row.getLong(BLOCK), row.getLong(POSITION));
        if (row.getBoolean(IS_ROW) && ordinal < limit) {
          long first = ordinal / binRows * binRows;
          bins.merge(
              first,
              new UnitCutter.Bin(first, 1, row.getLong(COST), row.getLong(BYTES)),
              UnitCutter.Bin::plus);
        }
      }
      return bins.values().toArray(UnitCutter.Bin[]::new);
    }
  }
}
