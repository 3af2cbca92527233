package dev.bulkgen.spark.storage;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import org.apache.hadoop.fs.Path;
import org.apache.parquet.hadoop.ParquetFileReader;
import org.apache.parquet.hadoop.util.HadoopInputFile;

/** What stands at the end of a Parquet file. */
public final class ParquetFooter {
  /** Footer length and magic number, at the end of the file. */
  static final int TRAILER = 8;

  /** What Thrift's compact protocol writes between a key and its value of 64 bytes. */
  private static final byte[] BETWEEN = {0x18, 64};

  static final FileChecksum.Layout LAYOUT =
      new FileChecksum.Layout() {
        @Override
        public int trailerBytes() {
          return TRAILER;
        }

        @Override
        public int footerBytes(byte[] trailer) {
          return ByteBuffer.wrap(trailer).order(ByteOrder.LITTLE_ENDIAN).getInt();
        }

        @Override
        public int digits(byte[] tail) {
          return ParquetFooter.digits(tail);
        }
      };

  private ParquetFooter() {}

  /** Key and value pairs; empty where the file is cut off, is something else or cannot be read. */
  public static Optional<Map<String, String>> read(Storage storage, Path file) {
    try (ParquetFileReader reader =
        ParquetFileReader.open(HadoopInputFile.fromPath(file, storage.configuration()))) {
      return Optional.of(reader.getFooter().getFileMetaData().getKeyValueMetaData());
    } catch (IOException | RuntimeException e) {
      return Optional.empty();
    }
  }

  /** Whether every byte is what was written. */
  public static boolean sound(Storage storage, Path file) {
    return FileChecksum.matches(storage, file, LAYOUT);
  }

  /** The footer's values stand behind all that rows could have put there. */
  private static int digits(byte[] tail) {
    byte[] key = FileChecksum.KEY.getBytes(StandardCharsets.US_ASCII);
    byte[] lead = Arrays.copyOf(key, key.length + BETWEEN.length);
    System.arraycopy(BETWEEN, 0, lead, key.length, BETWEEN.length);
    for (int at = tail.length - lead.length - FileChecksum.PLACEHOLDER.length(); at >= 0; at--) {
      if (Arrays.equals(tail, at, at + lead.length, lead, 0, lead.length)) {
        return at + lead.length;
      }
    }
    return -1;
  }

  /** The file's checksum, if every byte is what was written. */
  public static Optional<String> checksum(Storage storage, Path file) {
    return FileChecksum.verified(storage, file, LAYOUT);
  }
}
