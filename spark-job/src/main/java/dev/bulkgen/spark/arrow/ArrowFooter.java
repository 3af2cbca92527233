package dev.bulkgen.spark.arrow;

import dev.bulkgen.spark.storage.FileChecksum;
import dev.bulkgen.spark.storage.Storage;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.arrow.flatbuf.Footer;
import org.apache.arrow.flatbuf.KeyValue;
import org.apache.hadoop.fs.Path;

/** What stands at the end of an Arrow IPC file. */
public final class ArrowFooter {
  /** Footer length and magic number. */
  private static final int TRAILER = 10;

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
          return ArrowFooter.digits(tail);
        }
      };

  private ArrowFooter() {}

  /** Key and value pairs; empty where the file is cut off, is something else or cannot be read. */
  public static Optional<Map<String, String>> read(Storage storage, Path file) {
    try {
      Footer footer = parse(FileChecksum.tail(storage, file, LAYOUT));
      Map<String, String> values = new TreeMap<>();
      for (int index = 0; index < footer.customMetadataLength(); index++) {
        KeyValue entry = footer.customMetadata(index);
        values.put(entry.key(), entry.value());
      }
      return Optional.of(values);
    } catch (IOException | RuntimeException e) {
      return Optional.empty();
    }
  }

  /** Whether every byte is what was written. */
  public static boolean sound(Storage storage, Path file) {
    return FileChecksum.matches(storage, file, LAYOUT);
  }

  private static Footer parse(byte[] tail) {
    int length = ByteBuffer.wrap(tail).order(ByteOrder.LITTLE_ENDIAN).getInt(tail.length - TRAILER);
    int start = tail.length - TRAILER - length;
    ByteBuffer footer = ByteBuffer.wrap(tail, start, length).slice().order(ByteOrder.LITTLE_ENDIAN);
    return Footer.getRootAsFooter(footer);
  }

  private static int digits(byte[] tail) {
    Footer footer = parse(tail);
    for (int index = 0; index < footer.customMetadataLength(); index++) {
      KeyValue entry = footer.customMetadata(index);
      if (FileChecksum.KEY.equals(entry.key())) {
        ByteBuffer value = entry.valueAsByteBuffer();
        return value.remaining() == FileChecksum.PLACEHOLDER.length()
            ? value.arrayOffset() + value.position()
            : -1;
      }
    }
    return -1;
  }
}
