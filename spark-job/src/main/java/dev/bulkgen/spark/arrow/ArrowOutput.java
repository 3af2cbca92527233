package dev.bulkgen.spark.arrow;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.storage.Storage;
import java.io.IOException;
import java.io.OutputStream;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.execution.datasources.OutputWriter;
import org.apache.spark.sql.types.StructType;

/** A file that a task of Spark's writes; the commit protocol says where, and when it counts. */
final class ArrowOutput extends OutputWriter {
  private final String path;
  private final OutputStream out;
  private final ArrowBatchWriter batches;

  private ArrowOutput(String path, OutputStream out, ArrowBatchWriter batches) {
    this.path = path;
    this.out = out;
    this.batches = batches;
  }

  static ArrowOutput open(
      String path,
      StructType schema,
      ArrowLayout layout,
      ArrowCompression compression,
      Configuration configuration) {
    Path file = new Path(path);
    OutputStream out = null;
    try {
      out = file.getFileSystem(configuration).create(file, false);
      return new ArrowOutput(
          path, out, new ArrowBatchWriter(out, layout, compression, schema, Map.of()));
    } catch (IOException e) {
      Storage.closeQuietly(out);
      throw failure(path, e);
    }
  }

  @Override
  public void write(InternalRow row) {
    try {
      batches.write(row);
    } catch (IOException e) {
      throw failure(path, e);
    }
  }

  @Override
  public void close() {
    try (out;
        batches) {
      batches.end();
    } catch (IOException e) {
      throw failure(path, e);
    }
  }

  @Override
  public String path() {
    return path;
  }

  private static BulkgenException failure(String path, IOException e) {
    return new BulkgenException(
        ErrorCode.STORAGE_FAILED, "cannot write " + path + ": " + e.getMessage(), e);
  }
}
