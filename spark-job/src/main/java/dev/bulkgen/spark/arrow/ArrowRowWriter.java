package dev.bulkgen.spark.arrow;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.storage.FileChecksum;
import dev.bulkgen.spark.storage.RowWriter;
import dev.bulkgen.spark.storage.SealingStream;
import dev.bulkgen.spark.storage.StagedFile;
import dev.bulkgen.spark.storage.Storage;
import java.io.IOException;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.StructType;

/** One Arrow IPC file of Spark rows, with values of ours and its checksum in the footer. */
public final class ArrowRowWriter implements RowWriter {
  private final StagedFile staged;
  private final Supplier<Map<String, String>> values;
  private final TreeMap<String, String> footer = new TreeMap<>();
  private final SealingStream out;
  private final ArrowBatchWriter batches;
  private boolean closed;

  private ArrowRowWriter(
      StagedFile staged,
      SealingStream out,
      StructType schema,
      ArrowCompression compression,
      Supplier<Map<String, String>> values)
      throws IOException {
    this.staged = staged;
    this.values = values;
    this.out = out;
    this.batches = new ArrowBatchWriter(out, ArrowLayout.FILE, compression, schema, footer);
  }

  /**
   * @param values asked once, when the last row is written
   * @throws BulkgenException STORAGE_FAILED; INPUT_INVALID if Arrow has no type for a column
   */
  public static ArrowRowWriter open(
      StagedFile staged,
      StructType schema,
      ArrowCompression compression,
      Supplier<Map<String, String>> values) {
    SealingStream out = null;
    try {
      out = new SealingStream(staged.create());
      return new ArrowRowWriter(staged, out, schema, compression, values);
    } catch (IOException e) {
      discard(staged, out);
      throw staged.failure(e);
    } catch (RuntimeException e) {
      discard(staged, out);
      throw e;
    }
  }

  @Override
  public void write(InternalRow row) {
    try {
      batches.write(row);
    } catch (IOException e) {
      throw staged.failure(e);
    }
  }

  @Override
  public String commit() {
    try (out) {
      batches.endBatches();
      footer.putAll(values.get());
      footer.put(FileChecksum.KEY, FileChecksum.PLACEHOLDER);
      out.beginTail();
      batches.end();
      byte[] tail = out.tail();
      out.seal(tail, ArrowFooter.LAYOUT.digits(tail));
    } catch (IOException e) {
      throw staged.failure(e);
    }
    closed = true;
    batches.close();
    staged.commit();
    return out.checksum();
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    batches.close();
    discard(staged, out);
  }

  private static void discard(StagedFile staged, SealingStream out) {
    Storage.closeQuietly(out);
    staged.discard();
  }
}
