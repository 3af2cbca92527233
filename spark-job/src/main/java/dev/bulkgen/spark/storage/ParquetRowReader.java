package dev.bulkgen.spark.storage;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.Serializable;
import java.util.Iterator;
import java.util.List;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.spark.paths.SparkPath;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeProjection;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.execution.datasources.FileFormat;
import org.apache.spark.sql.execution.datasources.PartitionedFile;
import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat;
import org.apache.spark.sql.sources.Filter;
import org.apache.spark.sql.types.StructType;
import scala.Function1;
import scala.collection.immutable.Map$;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Reads Parquet files of one schema inside tasks. Made on the driver, which alone knows Spark's
 * session; tasks get it by serialization.
 */
public final class ParquetRowReader implements Serializable {
  private static final long serialVersionUID = 1L;

  private final Function1<PartitionedFile, scala.collection.Iterator<InternalRow>> reader;
  private final StructType schema;

  private ParquetRowReader(
      Function1<PartitionedFile, scala.collection.Iterator<InternalRow>> reader,
      StructType schema) {
    this.reader = reader;
    this.schema = schema;
  }

  public static ParquetRowReader create(SparkSession session, StructType schema) {
    scala.collection.immutable.Map<String, String> options =
        Map$.MODULE$.from(
            CollectionConverters.asScala(
                java.util.Map.of(FileFormat.OPTION_RETURNING_BATCH(), "false")));
    return new ParquetRowReader(
        new ParquetFileFormat()
            .buildReaderWithPartitionValues(
                session,
                schema,
                new StructType(),
                schema,
                CollectionConverters.asScala(List.<Filter>of()).toSeq(),
                options,
                session.sparkContext().hadoopConfiguration()),
        schema);
  }

  /**
   * Rows in file order, streamed; a row is only valid until the next one is asked for. To be called
   * in a task, at whose end the file is closed.
   *
   * @throws BulkgenException STORAGE_FAILED if the file is gone
   */
  public Iterator<UnsafeRow> open(Storage storage, Path file) {
    FileStatus status =
        storage
            .status(file)
            .orElseThrow(() -> BulkgenException.of(ErrorCode.STORAGE_FAILED, "%s is gone", file));
    PartitionedFile whole =
        new PartitionedFile(
            InternalRow.empty(),
            SparkPath.fromPath(file),
            0,
            status.getLen(),
            new String[0],
            status.getModificationTime(),
            status.getLen(),
            Map$.MODULE$.empty());
    Iterator<InternalRow> rows = CollectionConverters.asJava(reader.apply(whole));
    // The reader's own rows look into its column vectors, which a copy would only follow halfway.
    UnsafeProjection projection = UnsafeProjection.create(schema);
    return new Iterator<>() {
      @Override
      public boolean hasNext() {
        return rows.hasNext();
      }

      @Override
      public UnsafeRow next() {
        return projection.apply(rows.next());
      }
    };
  }
}
