package dev.bulkgen.cache;

import dev.bulkgen.tensor.Float16;

/**
 * What encode and decode mean, in plain Java: the oracle for every kernel, and the CPU backends'
 * own encoder. One group of values becomes a scale, a zero (the group's minimum), both float16, and
 * one code of {@code bits} bits a value.
 *
 * <p>Source: KIVI §3.1 with the order fixed here: scale = (max − min) / (2^bits − 1) and zero = min
 * are rounded to float16 first, then code = clamp(round-half-even((x − zero) / scale)) in float32;
 * scale 0 gives code 0.
 */
public final class CacheCodec {
  private final int bits;
  private final int[] codes;
  private short scale;
  private short zero;

  /**
   * @param bits 2 or 4
   * @param maxGroup longest group to be encoded
   */
  public CacheCodec(int bits, int maxGroup) {
    this.bits = bits;
    this.codes = new int[maxGroup];
  }

  /**
   * Encodes {@code count} values {@code stride} apart; {@link #code}, {@link #scale} and {@link
   * #zero} then tell the result until the next call.
   */
  public void encode(float[] values, int offset, int stride, int count) {
    float min = Float.POSITIVE_INFINITY;
    float max = Float.NEGATIVE_INFINITY;
    for (int i = 0; i < count; i++) {
      float x = values[offset + i * stride];
      min = Math.min(min, x);
      max = Math.max(max, x);
    }
    int levels = (1 << bits) - 1;
    scale = Float16.fromFloat((max - min) / levels);
    zero = Float16.fromFloat(min);
    float s = Float16.toFloat(scale);
    float z = Float16.toFloat(zero);
    for (int i = 0; i < count; i++) {
      float x = values[offset + i * stride];
      codes[i] = s == 0 ? 0 : (int) Math.max(0, Math.min(levels, Math.rint((x - z) / s)));
    }
  }

  public int code(int i) {
    return codes[i];
  }

  public short scale() {
    return scale;
  }

  public short zero() {
    return zero;
  }

  /** The value a code stands for. */
  public static float decode(int code, short scale, short zero) {
    return Math.fma((float) code, Float16.toFloat(scale), Float16.toFloat(zero));
  }
}
