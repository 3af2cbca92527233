package dev.bulkgen.tensor;

/** IEEE 754 binary16 as stored in caches and checkpoints; Java 17 has no conversion of its own. */
public final class Float16 {
  /** Largest finite value. */
  public static final float MAX = 65504f;

  // Shifting the 15 magnitude bits of a half into a float leaves the exponent 112 too small; one
  // multiplication by a power of two repairs it exactly, subnormal halves included.
  private static final float EXPONENT_SHIFT = 0x1p112f;

  private Float16() {}

  /**
   * Widens exactly for every finite half. Infinities and NaN come out as finite numbers: caches
   * never hold them (see {@link #fromFloat}); a reader of foreign files uses {@link #toFloatAny}.
   */
  public static float toFloat(short half) {
    return Float.intBitsToFloat((half << 13) & 0x8fffe000) * EXPONENT_SHIFT;
  }

  /** Widens any half, infinities and NaN included. */
  public static float toFloatAny(short half) {
    if ((half & 0x7c00) == 0x7c00) {
      return Float.intBitsToFloat(((half & 0x8000) << 16) | 0x7f800000 | ((half & 0x3ff) << 13));
    }
    return toFloat(half);
  }

  /**
   * Rounds half to even and saturates at ±{@link #MAX}, so that one outlier never turns a cache
   * into infinities. NaN becomes the half NaN.
   */
  public static short fromFloat(float value) {
    int bits = Float.floatToRawIntBits(value);
    int sign = (bits >>> 16) & 0x8000;
    float magnitude = Float.intBitsToFloat(bits & 0x7fffffff);
    if (magnitude != magnitude) {
      return (short) (sign | 0x7e00);
    }
    if (magnitude >= MAX) {
      return (short) (sign | 0x7bff);
    }
    if (magnitude < 0x1p-14f) {
      // Adding 0.5 aligns the half's last subnormal bit with the float's last bit, so the addition
      // itself rounds to even.
      return (short) (sign | (Float.floatToRawIntBits(magnitude + 0.5f) - 0x3f000000));
    }
    int m = bits & 0x7fffffff;
    int rounded = m + 0xfff + ((m >>> 13) & 1);
    int half = (rounded - 0x38000000) >>> 13;
    return (short) (sign | Math.min(half, 0x7bff));
  }

  /** The nearest float16 as a float: what anyone who attends to a K or V element sees. */
  public static float round(float value) {
    return toFloat(fromFloat(value));
  }
}
