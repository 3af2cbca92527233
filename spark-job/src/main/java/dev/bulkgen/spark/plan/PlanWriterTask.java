package dev.bulkgen.spark.plan;

import dev.bulkgen.spark.config.Digest;
import dev.bulkgen.spark.storage.ParquetRowWriter;
import dev.bulkgen.spark.storage.StagedFile;
import dev.bulkgen.spark.storage.Storage;
import java.io.Serializable;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.TaskContext;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.util.SerializableConfiguration;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction2;

/** Writes one unit of the plan: the partition's rows, streamed. */
final class PlanWriterTask extends AbstractFunction2<TaskContext, Iterator<InternalRow>, UnitSpec>
    implements Serializable {
  private static final long serialVersionUID = 1L;

  private final String folder;
  private final StructType schema;
  private final SerializableConfiguration configuration;

  PlanWriterTask(String folder, StructType schema, Configuration configuration) {
    this.folder = folder;
    this.schema = schema;
    this.configuration = new SerializableConfiguration(configuration);
  }

  @Override
  public UnitSpec apply(TaskContext context, Iterator<InternalRow> rows) {
    int unit = context.partitionId();
    Path parent = new Path(folder);
    Storage storage = Storage.of(parent, configuration.value());
    StagedFile file =
        new StagedFile(
            storage,
            parent,
            new UnitSpec(unit, 0, 0, "").fileName(),
            String.valueOf(context.taskAttemptId()));
    Digest digest = Digest.sha256();
    long count = 0;
    long cost = 0;
    try (ParquetRowWriter writer =
        ParquetRowWriter.open(file, storage.configuration(), schema, "zstd", Map::of)) {
      while (rows.hasNext()) {
        InternalRow row = rows.next();
        writer.write(row);
        count++;
        cost += row.getLong(PlanSchema.COST);
        digest.add(row.getLong(PlanSchema.ORDINAL));
        digest.add(row.getUTF8String(PlanSchema.KEY).getBytes());
        digest.add(((UnsafeRow) row).getBytes());
      }
      writer.commit();
    }
    return new UnitSpec(unit, count, cost, digest.hex());
  }
}
