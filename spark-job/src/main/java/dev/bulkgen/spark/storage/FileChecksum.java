package dev.bulkgen.spark.storage;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Optional;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.Path;

/**
 * SHA-256 over every byte of a file. Where it stands in the file itself, {@link #PLACEHOLDER}
 * counts in its place.
 */
public final class FileChecksum {
  /** Its name among a file's values. */
  public static final String KEY = "bulkgen.checksum";

  /** As long as the digits. */
  public static final String PLACEHOLDER = "-".repeat(64);

  private static final int BUFFER = 1 << 20;

  /** Far more than the footer of a file of ours, and still an array. */
  private static final int MOST_FOOTER = 1 << 28;

  /** Where a file format keeps the checksum: in a footer, whose length the last bytes tell. */
  public interface Layout {
    /** Bytes after the footer. */
    int trailerBytes();

    /**
     * @param trailer the file's last bytes
     * @return the footer's length, not checked
     */
    int footerBytes(byte[] trailer);

    /**
     * @param tail a footer, maybe with what stands before it, and the trailer
     * @return where the digits begin; negative if there are none
     */
    int digits(byte[] tail);
  }

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
   * @param at where in it
   * @return the digits
   */
  static String seal(MessageDigest before, byte[] tail, int at) {
    String digits = HexFormat.of().formatHex(before.digest(tail));
    put(digits, tail, at);
    return digits;
  }

  /** Whether every byte is what was written. */
  public static boolean matches(Storage storage, Path file, Layout layout) {
    return verified(storage, file, layout).isPresent();
  }

  /**
   * The digits of a file in which every byte is what was written. Streams the file; holds its
   * footer alone in memory.
   */
  public static Optional<String> verified(Storage storage, Path file, Layout layout) {
    try (FSDataInputStream in = storage.fileSystem().open(file)) {
      long size = storage.fileSystem().getFileStatus(file).getLen();
      byte[] tail = tail(in, size, layout);
      int at = tail.length == 0 ? -1 : layout.digits(tail);
      if (at < 0) {
        return Optional.empty();
      }
      String expected = new String(tail, at, PLACEHOLDER.length(), StandardCharsets.US_ASCII);
      put(PLACEHOLDER, tail, at);
      MessageDigest digest = sha256();
      stream(in, size - tail.length, digest);
      return Optional.of(expected).filter(HexFormat.of().formatHex(digest.digest(tail))::equals);
    } catch (IOException | RuntimeException e) {
      return Optional.empty();
    }
  }

  /** Footer and trailer; empty if the file has none. */
  public static byte[] tail(Storage storage, Path file, Layout layout) throws IOException {
    try (FSDataInputStream in = storage.fileSystem().open(file)) {
      return tail(in, storage.fileSystem().getFileStatus(file).getLen(), layout);
    }
  }

  private static byte[] tail(FSDataInputStream in, long size, Layout layout) throws IOException {
    byte[] trailer = new byte[layout.trailerBytes()];
    in.readFully(size - trailer.length, trailer);
    int footer = layout.footerBytes(trailer);
    if (footer <= 0 || footer > MOST_FOOTER || footer > size - trailer.length) {
      return new byte[0];
    }
    byte[] tail = new byte[footer + trailer.length];
    in.readFully(size - tail.length, tail);
    return tail;
  }

  /** The digits of a whole file; empty if it cannot be read. */
  public static String of(Storage storage, Path file) {
    try (FSDataInputStream in = storage.fileSystem().open(file)) {
      MessageDigest digest = sha256();
      stream(in, storage.fileSystem().getFileStatus(file).getLen(), digest);
      return HexFormat.of().formatHex(digest.digest());
    } catch (IOException e) {
      return "";
    }
  }

  /** The digits of a text. */
  public static String of(String text) {
    return HexFormat.of().formatHex(sha256().digest(text.getBytes(StandardCharsets.UTF_8)));
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

  private static void put(String digits, byte[] tail, int at) {
    System.arraycopy(digits.getBytes(StandardCharsets.US_ASCII), 0, tail, at, digits.length());
  }
}
