package dev.bulkgen.spark.storage;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
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
  private final PositionOutputStream out;
  private final ByteArrayOutputStream held = new ByteArrayOutputStream();
  private boolean holding;
  private final MessageDigest digest = FileChecksum.sha256();
  private boolean closed;
  private String checksum = "";

  StableFooterStream(PositionOutputStream out) {
    this.out = out;
  }

  /** From here on come the indexes and the footer; they are held back until the file is closed. */
  void beginTail() {
    holding = true;
  }

  /** Digits of what was written; empty before the file is closed. */
  String checksum() {
    return checksum;
  }

  @Override
  public long getPos() throws IOException {
    return out.getPos() + held.size();
  }

  @Override
  public void write(int value) throws IOException {
    if (holding) {
      held.write(value);
    } else {
      out.write(value);
      digest.update((byte) value);
    }
  }

  @Override
  public void write(byte[] bytes, int offset, int length) throws IOException {
    if (holding) {
      held.write(bytes, offset, length);
    } else {
      out.write(bytes, offset, length);
      digest.update(bytes, offset, length);
    }
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
      if (held.size() > FileChecksum.TRAILER) {
        writeTail(held.toByteArray());
      }
    }
  }

  private void writeTail(byte[] tail) throws IOException {
    int end = tail.length - FileChecksum.TRAILER;
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
    out.write(tail, 0, start);
    digest.update(tail, 0, start);
    byte[] last = new byte[sorted.size() + FileChecksum.TRAILER];
    ByteBuffer.wrap(last)
        .order(ByteOrder.LITTLE_ENDIAN)
        .put(sorted.toByteArray())
        .putInt(sorted.size())
        .put(tail, end + Integer.BYTES, Integer.BYTES);
    checksum = FileChecksum.seal(digest, last);
    out.write(last);
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
