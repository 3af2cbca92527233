package dev.bulkgen.spark.arrow;

import java.io.Closeable;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.WritableByteChannel;
import java.util.Map;
import java.util.Optional;
import org.apache.arrow.compression.CommonsCompressionFactory;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.compression.CompressionCodec;
import org.apache.arrow.vector.compression.NoCompressionCodec;
import org.apache.arrow.vector.dictionary.DictionaryProvider;
import org.apache.arrow.vector.ipc.ArrowFileWriter;
import org.apache.arrow.vector.ipc.ArrowStreamWriter;
import org.apache.arrow.vector.ipc.ArrowWriter;
import org.apache.arrow.vector.ipc.message.IpcOption;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.ArrowUtils;

/**
 * Writes Spark's rows as Arrow IPC, in batches whose borders follow from the rows alone. Owns
 * buffers, never the stream.
 */
final class ArrowBatchWriter implements Closeable {
  /** Enough for vectorized readers; a batch is all that a reader must hold. */
  private static final int MOST_ROWS = 8192;

  private static final long MOST_BYTES = 8L << 20;

  private final BufferAllocator allocator;
  private final VectorSchemaRoot root;
  private final org.apache.spark.sql.execution.arrow.ArrowWriter vectors;
  private final ArrowWriter writer;
  private int rows;
  private long bytes;

  /**
   * @param values of the file's footer, read when the file ends; a stream has none
   */
  ArrowBatchWriter(
      OutputStream out,
      ArrowLayout layout,
      ArrowCompression compression,
      StructType schema,
      Map<String, String> values)
      throws IOException {
    allocator = ArrowUtils.rootAllocator().newChildAllocator("bulkgen-write", 0, Long.MAX_VALUE);
    try {
      root = VectorSchemaRoot.create(ArrowSchemas.toArrow(schema), allocator);
      vectors = org.apache.spark.sql.execution.arrow.ArrowWriter.create(root);
      writer = writer(root, Channels.newChannel(out), layout, compression, values);
      writer.start();
    } catch (IOException | RuntimeException e) {
      close();
      throw e;
    }
  }

  private static ArrowWriter writer(
      VectorSchemaRoot root,
      WritableByteChannel out,
      ArrowLayout layout,
      ArrowCompression compression,
      Map<String, String> values) {
    DictionaryProvider none = new DictionaryProvider.MapDictionaryProvider();
    CompressionCodec.Factory codecs =
        compression == ArrowCompression.UNCOMPRESSED
            ? NoCompressionCodec.Factory.INSTANCE
            : CommonsCompressionFactory.INSTANCE;
    return switch (layout) {
      case FILE ->
          new ArrowFileWriter(
              root, none, out, values, IpcOption.DEFAULT, codecs, compression.codec);
      case STREAM ->
          new ArrowStreamWriter(
              root, none, out, IpcOption.DEFAULT, codecs, compression.codec, Optional.empty());
    };
  }

  void write(InternalRow row) throws IOException {
    vectors.write(row);
    rows++;
    bytes += row instanceof UnsafeRow flat ? flat.getSizeInBytes() : 0;
    if (rows >= MOST_ROWS || bytes >= MOST_BYTES) {
      writeBatch();
    }
  }

  private void writeBatch() throws IOException {
    vectors.finish();
    writer.writeBatch();
    vectors.reset();
    rows = 0;
    bytes = 0;
  }

  /** Writes the last batch and, of a file, the footer. */
  void endBatches() throws IOException {
    if (rows > 0) {
      writeBatch();
    }
  }

  void end() throws IOException {
    endBatches();
    writer.end();
  }

  @Override
  public void close() {
    // Not the writer: closing it would end the file, and close a stream that is not ours.
    if (root != null) {
      root.close();
    }
    allocator.close();
  }
}
