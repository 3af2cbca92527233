package dev.bulkgen.spark.storage;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.Path;

/**
 * A checksum that stands in the footer of the Parquet file it is of: SHA-256 over every byte,
 * pages, indexes and the footer itself, with {@link #PLACEHOLDER} where its own digits stand.
 */
public final class FileChecksum {
  /** Its name among the footer's values. */
  public static final String KEY = "bulkgen.checksum";

  /** As long as the digits. */
  static final String PLACEHOLDER = "-".repeat(64);

  /** Footer length and magic number, at the end of a Parquet file. */
  static final int TRAILER = 8;

  private static final int BUFFER = 1 << 20;

  /** Far more than the footer of a file of ours, and still an array. */
  private static final int MOST_FOOTER = 1 << 28;

  /** What Thrift's compact protocol writes between a key and its value of 64 bytes. */
  private static final byte[] BETWEEN = {0x18, 64};

  private FileChecksum() {}

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  /**
   * Puts the digits into a file's last bytes.
   *
   * @param before has taken all bytes before {@code tail}
   * @param tail ends the file, and holds the placeholder
   * @return the digits
   */
  static String seal(MessageDigest before, byte[] tail) {
    int at = digits(tail);
    String digits = HexFormat.of().formatHex(before.digest(tail));
    put(digits, tail, at);
    return digits;
  }

  /** Whether every byte is what was written. Streams the file; holds its footer alone in memory. */
  public static boolean matches(Storage storage, Path file) {
    try (FSDataInputStream in = storage.fileSystem().open(file)) {
      long size = storage.fileSystem().getFileStatus(file).getLen();
      byte[] trailer = new byte[TRAILER];
      in.readFully(size - TRAILER, trailer);
      int footer = ByteBuffer.wrap(trailer).order(ByteOrder.LITTLE_ENDIAN).getInt();
      if (footer <= 0 || footer > MOST_FOOTER || footer > size - TRAILER) {
        return false;
      }
      byte[] tail = new byte[footer + TRAILER];
      in.readFully(size - tail.length, tail);
      int at = digits(tail);
      if (at < 0) {
        return false;
      }
      String expected = new String(tail, at, PLACEHOLDER.length(), StandardCharsets.US_ASCII);
      put(PLACEHOLDER, tail, at);
      MessageDigest digest = sha256();
      stream(in, size - tail.length, digest);
      return expected.equals(HexFormat.of().formatHex(digest.digest(tail)));
    } catch (IOException | RuntimeException e) {
      return false;
    }
  }

  private static void stream(FSDataInputStream in, long bytes, MessageDigest digest)
      throws IOException {
    byte[] buffer = new byte[BUFFER];
    in.seek(0);
    for (long left = bytes; left > 0; ) {
      int part = (int) Math.min(left, buffer.length);
      in.readFully(buffer, 0, part);
      digest.update(buffer, 0, part);
      left -= part;
    }
  }

  /**
   * Where the digits begin: the footer's values stand behind all that rows could have put there.
   */
  private static int digits(byte[] tail) {
    byte[] key = KEY.getBytes(StandardCharsets.US_ASCII);
    byte[] lead = Arrays.copyOf(key, key.length + BETWEEN.length);
    System.arraycopy(BETWEEN, 0, lead, key.length, BETWEEN.length);
    for (int at = tail.length - lead.length - PLACEHOLDER.length(); at >= 0; at--) {
      if (Arrays.equals(tail, at, at + lead.length, lead, 0, lead.length)) {
        return at + lead.length;
      }
    }
    return -1;
  }

  private static void put(String digits, byte[] tail, int at) {
    System.arraycopy(digits.getBytes(StandardCharsets.US_ASCII), 0, tail, at, digits.length());
  }
}
