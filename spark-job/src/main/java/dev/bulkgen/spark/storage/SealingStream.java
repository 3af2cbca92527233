package dev.bulkgen.spark.storage;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.security.MessageDigest;
import java.util.HexFormat;

/**
 * Writes through and digests what it writes. A file whose end is to hold its own {@link
 * FileChecksum} has that end held back, until it is given in its final form.
 */
public final class SealingStream extends OutputStream {
  private final OutputStream out;
  private final MessageDigest digest = FileChecksum.sha256();
  private final ByteArrayOutputStream held = new ByteArrayOutputStream();
  private boolean holding;
  private long written;
  private String checksum = "";

  public SealingStream(OutputStream out) {
    this.out = out;
  }

  /** From here on bytes are held back. */
  public void beginTail() {
    holding = true;
  }

  /** What is held back. */
  public byte[] tail() {
    return held.toByteArray();
  }

  /** Bytes written, those held back included. */
  public long position() {
    return written + held.size();
  }

  /** Digits of the whole file; empty before it is sealed or ended. */
  public String checksum() {
    return checksum;
  }

  /**
   * Writes the last bytes of a file that holds its own checksum.
   *
   * @param tail in place of what was held back
   * @param at where the {@link FileChecksum#PLACEHOLDER} stands in it
   */
  public void seal(byte[] tail, int at) throws IOException {
    checksum = FileChecksum.seal(digest, tail, at);
    out.write(tail);
    written += tail.length;
    held.reset();
  }

  /** Ends a file whose checksum stands elsewhere. */
  public void end() {
    checksum = HexFormat.of().formatHex(digest.digest());
  }

  @Override
  public void write(int value) throws IOException {
    if (holding) {
      held.write(value);
      return;
    }
    out.write(value);
    digest.update((byte) value);
    written++;
  }

  @Override
  public void write(byte[] bytes, int offset, int length) throws IOException {
    if (holding) {
      held.write(bytes, offset, length);
      return;
    }
    out.write(bytes, offset, length);
    digest.update(bytes, offset, length);
    written += length;
  }

  @Override
  public void flush() throws IOException {
    out.flush();
  }

  @Override
  public void close() throws IOException {
    out.close();
  }
}
