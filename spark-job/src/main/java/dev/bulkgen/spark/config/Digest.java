package dev.bulkgen.spark.config;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** SHA-256 over parts; each part goes in with its length, so that parts cannot run together. */
public final class Digest {
  private final MessageDigest digest;

  private Digest(MessageDigest digest) {
    this.digest = digest;
  }

  public static Digest sha256() {
    try {
      return new Digest(MessageDigest.getInstance("SHA-256"));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  public Digest add(byte[] part) {
    return add(part, part.length);
  }

  public Digest add(byte[] part, int length) {
    digest.update(ByteBuffer.allocate(Integer.BYTES).putInt(length).flip());
    digest.update(part, 0, length);
    return this;
  }

  public Digest add(String part) {
    return add(part.getBytes(StandardCharsets.UTF_8));
  }

  public Digest add(long part) {
    return add(ByteBuffer.allocate(Long.BYTES).putLong(part).array());
  }

  /** Ends the digest. */
  public String hex() {
    return HexFormat.of().formatHex(digest.digest());
  }
}
