package dev.bulkgen.spark.arrow;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.storage.Storage;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Iterator;
import java.util.NoSuchElementException;
import org.apache.arrow.compression.CommonsCompressionFactory;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowFileReader;
import org.apache.arrow.vector.ipc.ArrowReader;
import org.apache.arrow.vector.ipc.ArrowStreamReader;
import org.apache.arrow.vector.ipc.message.MessageChannelReader;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.types.DataTypeUtils;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.util.ArrowUtils;

/**
 * An Arrow IPC file or stream, read batch by batch; which of the two it is, its first bytes tell.
 */
final class ArrowInput implements Closeable {
  private static final byte[] FILE_MAGIC = "ARROW1".getBytes(StandardCharsets.US_ASCII);
  private static final byte[] FEATHER_1 = "FEA1".getBytes(StandardCharsets.US_ASCII);

  /**
   * Compressed batches grow when they are read; more than this, or 8 times the file, is hostile.
   */
  private static final long LEAST_MEMORY = 1L << 30;

  private static final int MOST_GROWTH = 8;

  private final Path file;
  private final BufferAllocator allocator;
  private final ArrowReader reader;
  private final StructType schema;
  private boolean closed;

  private ArrowInput(Path file, long length, FSDataInputStream in) throws IOException {
    this.file = file;
    this.allocator =
        ArrowUtils.rootAllocator()
            .newChildAllocator("bulkgen-read", 0, Math.max(LEAST_MEMORY, MOST_GROWTH * length));
    ArrowReader opened = null;
    try {
      opened = reader(in, length);
      this.reader = opened;
      this.schema =
          ArrowSchemas.toSpark(
              reader.getVectorSchemaRoot().getSchema(), reader.getDictionaryVectors());
    } catch (IOException | RuntimeException | StackOverflowError e) {
      closeAfter(opened, e);
      throw e;
    }
  }

  private void closeAfter(ArrowReader opened, Throwable first) {
    try (allocator;
        ArrowReader half = opened) {
      // What was read so far is given back.
    } catch (IOException | RuntimeException e) {
      first.addSuppressed(e);
    }
  }

  /**
   * @param path of a file that is not empty
   * @throws BulkgenException INPUT_NOT_FOUND; INPUT_INVALID naming the file and what is wrong
   */
  static ArrowInput open(Path path, Configuration configuration) {
    FSDataInputStream in = null;
    try {
      FileSystem system = path.getFileSystem(configuration);
      long length = system.getFileStatus(path).getLen();
      in = system.open(path);
      return new ArrowInput(path, length, in);
    } catch (java.io.FileNotFoundException e) {
      throw BulkgenException.of(ErrorCode.INPUT_NOT_FOUND, "%s is not there", path);
    } catch (IOException | RuntimeException | StackOverflowError e) {
      Storage.closeQuietly(in);
      throw broken(path, e);
    }
  }

  private ArrowReader reader(FSDataInputStream in, long length) throws IOException {
    byte[] magic = new byte[(int) Math.min(length, FILE_MAGIC.length)];
    in.readFully(0, magic);
    if (Arrays.equals(magic, FILE_MAGIC)) {
      return new ArrowFileReader(
          new HadoopChannel(in, length), allocator, CommonsCompressionFactory.INSTANCE);
    }
    if (Arrays.equals(Arrays.copyOf(magic, FEATHER_1.length), FEATHER_1)) {
      throw new IOException("it is Feather version 1: write it as version 2, which is Arrow IPC");
    }
    return new ArrowStreamReader(
        new MessageChannelReader(new StreamChannel(in, length), allocator),
        allocator,
        CommonsCompressionFactory.INSTANCE);
  }

  private static BulkgenException broken(Path file, Throwable e) {
    if (e instanceof BulkgenException known) {
      return new BulkgenException(known.code(), file + ": " + known.getMessage(), known);
    }
    String reason = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    return new BulkgenException(
        ErrorCode.INPUT_INVALID,
        file
            + " is no sound Arrow IPC file"
            + (e instanceof EOFException ? ": it is cut off" : ": " + reason),
        e);
  }

  /** All columns, as Spark's. */
  StructType schema() {
    return schema;
  }

  /**
   * Rows in file order; a row is only valid until the next one is asked for.
   *
   * @param wanted columns by name; null where the file lacks one
   * @throws BulkgenException INPUT_INVALID if a column has another type here, or while reading
   */
  Iterator<InternalRow> rows(StructType wanted) {
    try {
      ArrowCells cells = new ArrowCells(reader.getDictionaryVectors());
      VectorSchemaRoot root = reader.getVectorSchemaRoot();
      ArrowCells.Cell[] columns = new ArrowCells.Cell[wanted.size()];
      for (int index = 0; index < columns.length; index++) {
        int at = find(wanted.apply(index).name());
        if (at < 0) {
          columns[index] = row -> null;
          continue;
        }
        requireType(wanted, index, at);
        columns[index] = cells.of(root.getVector(at), schema.apply(at).dataType());
      }
      return new Rows(columns);
    } catch (IOException | RuntimeException e) {
      throw broken(file, e);
    }
  }

  private int find(String name) {
    String[] names = schema.fieldNames();
    int exact = Arrays.asList(names).indexOf(name);
    for (int index = 0; exact < 0 && index < names.length; index++) {
      if (names[index].equalsIgnoreCase(name)) {
        exact = index;
      }
    }
    return exact;
  }

  private void requireType(StructType wanted, int index, int at) {
    if (!DataTypeUtils.sameType(wanted.apply(index).dataType(), schema.apply(at).dataType())) {
      throw BulkgenException.of(
          ErrorCode.INPUT_INVALID,
          "column '%s' is %s here and %s elsewhere: read files of one schema at a time",
          wanted.apply(index).name(),
          schema.apply(at).dataType().simpleString(),
          wanted.apply(index).dataType().simpleString());
    }
  }

  private final class Rows implements Iterator<InternalRow> {
    private final ArrowCells.Cell[] columns;
    private final Object[] values;
    private final GenericInternalRow row;
    private int next;
    private int rows;
    private boolean ended;

    Rows(ArrowCells.Cell[] columns) {
      this.columns = columns;
      this.values = new Object[columns.length];
      this.row = new GenericInternalRow(values);
    }

    @Override
    public boolean hasNext() {
      try {
        while (next >= rows && !ended) {
          ended = !reader.loadNextBatch();
          rows = ended ? 0 : reader.getVectorSchemaRoot().getRowCount();
          next = 0;
        }
      } catch (IOException | RuntimeException e) {
        throw broken(file, e);
      }
      if (ended) {
        close();
      }
      return !ended;
    }

    @Override
    public InternalRow next() {
      if (!hasNext()) {
        throw new NoSuchElementException();
      }
      try {
        for (int index = 0; index < columns.length; index++) {
          values[index] = columns[index].get(next);
        }
      } catch (RuntimeException e) {
        throw broken(file, e);
      }
      next++;
      return row;
    }
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    try (allocator;
        reader) {
      // Both go.
    } catch (IOException e) {
      throw broken(file, e);
    }
  }
}
