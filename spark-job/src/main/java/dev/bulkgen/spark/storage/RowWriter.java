package dev.bulkgen.spark.storage;

import dev.bulkgen.error.BulkgenException;
import java.io.Closeable;
import org.apache.spark.sql.catalyst.InternalRow;

/**
 * Writes a file of rows, which appears under its name at {@link #commit}. The same rows give the
 * same file, to the byte.
 */
public interface RowWriter extends Closeable {
  /**
   * @throws BulkgenException STORAGE_FAILED
   */
  void write(InternalRow row);

  /**
   * Ends the file and gives it its name.
   *
   * @return the digits of its checksum
   * @throws BulkgenException STORAGE_FAILED
   */
  String commit();

  /** Without a commit before, nothing stays behind. */
  @Override
  void close();
}
