package dev.bulkgen.sampling;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/**
 * The random numbers of one sample of one row, by Philox 4x32-10 (Salmon, Moraes, Dror and Shaw,
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011, §3.3). A draw is a pure function of job
 * seed, row key, sample index and step, so it is the same in every batch, partition and retry (P1).
 *
 * <p>The mapping, lowest word first:
 *
 * <pre>
 * key     = seed bits 0..31, seed bits 32..63
 * counter = step, sample index, row hash bits 0..31, row hash bits 32..63
 * draw    = (word 0 of the block · 2^21 + upper 21 bits of word 1) / 2^53, in [0, 1)
 * </pre>
 *
 * The row hash is the first 8 bytes, big-endian, of the SHA-256 of the row key in UTF-8.
 */
public final class PhiloxRandom {
  private static final int ROUNDS = 10;
  private static final long MULTIPLIER_0 = 0xD2511F53L;
  private static final long MULTIPLIER_1 = 0xCD9E8D57L;
  private static final int WEYL_0 = 0x9E3779B9;
  private static final int WEYL_1 = 0xBB67AE85;
  private static final double UNIT = 0x1p-53;

  private final long seed;
  private final int sampleIndex;
  private final long rowHash;

  public PhiloxRandom(long seed, String rowKey, int sampleIndex) {
    this.seed = seed;
    this.sampleIndex = sampleIndex;
    this.rowHash = rowHash(rowKey);
  }

  /** The draw of {@code step} (0 for the first generated token), uniform in [0, 1). */
  public double uniform(int step) {
    return bits(step) * UNIT;
  }

  /**
   * The same draw, as a whole number in [0, bound): the draw times bound, rounded down, exactly.
   *
   * @param bound from 1 to 2^62 − 1
   */
  public long below(int step, long bound) {
    // (bits · 2^10 · bound · 2) / 2^64 = bits / 2^53 · bound; both factors stay below 2^63.
    return Math.multiplyHigh(bits(step) << 10, bound << 1);
  }

  /** The key of the cipher: low half, high half. */
  public long seed() {
    return seed;
  }

  public long rowHash() {
    return rowHash;
  }

  public int sampleIndex() {
    return sampleIndex;
  }

  private long bits(int step) {
    int[] block = {step, sampleIndex, (int) rowHash, (int) (rowHash >>> 32)};
    encrypt(block, (int) seed, (int) (seed >>> 32));
    return (block[0] & 0xFFFFFFFFL) << 21 | block[1] >>> 11;
  }

  /** 64 bits that depend on the key's text alone, the same on every JVM. */
  public static long rowHash(String rowKey) {
    try {
      byte[] digest =
          MessageDigest.getInstance("SHA-256").digest(rowKey.getBytes(StandardCharsets.UTF_8));
      return ByteBuffer.wrap(digest).getLong();
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  /** Replaces the counter [4] by its block of random words. */
  static void encrypt(int[] counter, int key0, int key1) {
    for (int round = 0; round < ROUNDS; round++) {
      long product0 = MULTIPLIER_0 * (counter[0] & 0xFFFFFFFFL);
      long product1 = MULTIPLIER_1 * (counter[2] & 0xFFFFFFFFL);
      counter[0] = (int) (product1 >>> 32) ^ counter[1] ^ (key0 + round * WEYL_0);
      counter[1] = (int) product1;
      counter[2] = (int) (product0 >>> 32) ^ counter[3] ^ (key1 + round * WEYL_1);
      counter[3] = (int) product0;
    }
  }
}
