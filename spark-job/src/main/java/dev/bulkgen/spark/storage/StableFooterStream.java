package dev.bulkgen.spark.storage;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Comparator;
import org.apache.parquet.format.ColumnChunk;
import org.apache.parquet.format.ColumnMetaData;
import org.apache.parquet.format.Encoding;
import org.apache.parquet.format.FileMetaData;
import org.apache.parquet.format.PageEncodingStats;
import org.apache.parquet.format.RowGroup;
import org.apache.parquet.format.Util;
import org.apache.parquet.io.PositionOutputStream;

/**
 * Writes a Parquet file through, but puts the lists of encodings in its footer in order, and the
 * file's {@link FileChecksum} into it. The library keeps them in hash sets of enum constants, whose
 * order is another in every process; with them sorted the same rows give the same file to the byte.
 */
final class StableFooterStream extends PositionOutputStream {
  private final SealingStream out;
  private boolean closed;

  StableFooterStream(OutputStream out) {
    this.out = new SealingStream(out);
  }

  /** From here on come the indexes and the footer; they are held back until the file is closed. */
  void beginTail() {
    out.beginTail();
  }

  /** Digits of what was written; empty before the file is closed. */
  String checksum() {
    return out.checksum();
  }

  @Override
  public long getPos() {
    return out.position();
  }

  @Override
  public void write(int value) throws IOException {
    out.write(value);
  }

  @Override
  public void write(byte[] bytes, int offset, int length) throws IOException {
    out.write(bytes, offset, length);
  }

  @Override
  public void flush() throws IOException {
    out.flush();
  }

  @Override
  public void close() throws IOException {
    if (closed) {
      return;
    }
    closed = true;
    try (out) {
      byte[] tail = out.tail();
      if (tail.length > ParquetFooter.TRAILER) {
        writeTail(tail);
      }
    }
  }

  private void writeTail(byte[] tail) throws IOException {
    int end = tail.length - ParquetFooter.TRAILER;
    int length = ByteBuffer.wrap(tail).order(ByteOrder.LITTLE_ENDIAN).getInt(end);
    int start = end - length;
    if (length <= 0 || start < 0) {
      // The writer gave up in the middle; whoever closed it deletes the file.
      return;
    }
    FileMetaData footer = Util.readFileMetaData(new ByteArrayInputStream(tail, start, length));
    sort(footer);
    ByteArrayOutputStream sorted = new ByteArrayOutputStream(length);
    Util.writeFileMetaData(footer, sorted);
    byte[] last = new byte[start + sorted.size() + ParquetFooter.TRAILER];
    ByteBuffer.wrap(last)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put(tail, 0, start)
        .put(sorted.toByteArray())
        .putInt(sorted.size())
        .put(tail, end + Integer.BYTES, Integer.BYTES);
    out.seal(last, ParquetFooter.LAYOUT.digits(last));
  }

  private static void sort(FileMetaData footer) {
    for (RowGroup group : footer.getRow_groups()) {
      for (ColumnChunk chunk : group.getColumns()) {
        ColumnMetaData column = chunk.getMeta_data();
        column.getEncodings().sort(Comparator.comparingInt(Encoding::getValue));
        if (column.isSetEncoding_stats()) {
          column
              .getEncoding_stats()
              .sort(
                  Comparator.comparingInt((PageEncodingStats s) -> s.getPage_type().getValue())
                      .thenComparingInt(s -> s.getEncoding().getValue()));
        }
      }
    }
  }
}
