package dev.bulkgen.spark.plan;

import dev.bulkgen.spark.storage.ParquetRowWriter;
import dev.bulkgen.spark.storage.StagedFile;
import dev.bulkgen.spark.storage.Storage;
import java.io.Serializable;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.TaskContext;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeProjection;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import org.apache.spark.util.SerializableConfiguration;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction2;

/** Cuts its rows into units, as they come, and writes a plan file for each. */
final class PlanWriterTask
    extends AbstractFunction2<TaskContext, Iterator<InternalRow>, PlanWriterTask.Part>
    implements Serializable {
  private static final long serialVersionUID = 1L;

  /** Of keys that are not the first of their kind. */
  private static final UTF8String FIRST = UTF8String.fromString("#0");

  private static final UTF8String ID = UTF8String.fromString("id:");

  /**
   * What a task wrote.
   *
   * @param units in their order, numbered from 0
   * @param repeatedIds rows whose id was there before
   */
  record Part(List<UnitSpec> units, long repeatedIds) implements Serializable {}

  private record Buffered(UnsafeRow row, long ordinal, long cost, long prefix) {}

  private final String folder;
  private final StructType schema;
  private final UnitCutter cutter;
  private final SerializableConfiguration configuration;

  PlanWriterTask(String folder, StructType schema, UnitCutter cutter, Configuration configuration) {
    this.folder = folder;
    this.schema = schema;
    this.cutter = cutter;
    this.configuration = new SerializableConfiguration(configuration);
  }

  @Override
  public Part apply(TaskContext context, Iterator<InternalRow> rows) {
    Storage storage = Storage.of(new Path(folder), configuration.value());
    UnsafeProjection kept = UnsafeProjection.create(schema);
    List<UnitSpec> units = new ArrayList<>();
    List<Buffered> unit = new ArrayList<>();
    long cost = 0;
    long bytes = 0;
    long repeated = 0;
    while (rows.hasNext()) {
      UnsafeRow row = (UnsafeRow) rows.next();
      long next = row.getLong(PlanSchema.COST);
      if (cutter.isFull(unit.size(), cost, bytes, next, row.getSizeInBytes())) {
        units.add(write(storage, context, units.size(), unit));
        unit.clear();
        cost = 0;
        bytes = 0;
      }
      unit.add(
          new Buffered(
              kept.apply(row).copy(),
              row.getLong(PlanSchema.ORDINAL),
              next,
              row.getLong(PlanSchema.PREFIX)));
      cost += next;
      bytes += row.getSizeInBytes();
      UTF8String key = row.getUTF8String(PlanSchema.KEY);
      repeated += key.startsWith(ID) && !key.endsWith(FIRST) ? 1 : 0;
    }
    if (!unit.isEmpty()) {
      units.add(write(storage, context, units.size(), unit));
    }
    return new Part(units, repeated);
  }

  private UnitSpec write(Storage storage, TaskContext context, int index, List<Buffered> rows) {
    rows.sort(order(rows));
    String name =
        String.format(Locale.ROOT, "unit-%05d-%05d.parquet", context.partitionId(), index);
    StagedFile file =
        new StagedFile(storage, new Path(folder), name, String.valueOf(context.taskAttemptId()));
    long cost = 0;
    try (ParquetRowWriter writer =
        ParquetRowWriter.open(file, storage.configuration(), schema, "zstd", Map::of)) {
      for (Buffered row : rows) {
        writer.write(row.row());
        cost += row.cost();
      }
      return new UnitSpec(index, name, rows.size(), cost, writer.commit());
    }
  }

  /**
   * Rows that begin alike stay together, the prefix with the longest row first; among them, and
   * where nothing is shared, the longest come first, so that none begins when the rest has ended.
   */
  private static Comparator<Buffered> order(List<Buffered> rows) {
    Comparator<Buffered> longest =
        Comparator.comparingLong(Buffered::cost).reversed().thenComparingLong(Buffered::ordinal);
    Map<Long, Buffered> leaders = new HashMap<>();
    for (Buffered row : rows) {
      leaders.merge(row.prefix(), row, (a, b) -> longest.compare(a, b) <= 0 ? a : b);
    }
    if (leaders.size() == 1) {
      return longest;
    }
    return Comparator.comparing(
            (Buffered row) -> row.prefix() == PrefixLengths.NONE ? row : leaders.get(row.prefix()),
            longest)
        .thenComparing(longest);
  }
}
