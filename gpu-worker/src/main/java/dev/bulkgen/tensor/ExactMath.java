package dev.bulkgen.tensor;

/**
 * Elementary functions made of additions and fused multiply-adds only, in a fixed order, so that
 * every CPU and every vector width gives the same bits (P1). The vectorized backend repeats these
 * steps lane by lane.
 */
public final class ExactMath {
  /** Above this {@link #exp} is infinite, below {@link #EXP_MIN} it is 0. */
  public static final float EXP_MAX = 88.72284f;

  public static final float EXP_MIN = -104f;
  public static final float LOG2_E = 0x1.715476p0f;

  /** ln 2 in two parts: the first has few enough bits that n · LN2_HIGH is exact. */
  public static final float LN2_HIGH = 0x1.62e4p-1f;

  public static final float LN2_LOW = (float) (0x1.62e42fefa39efp-1 - 0x1.62e4p-1);

  /** Adding and subtracting this rounds a float below 2^22 to the nearest integer. */
  public static final float ROUNDING = 0x1.8p23f;

  private static final float[] EXP_TAYLOR = {
    1f / 5040, 1f / 720, 1f / 120, 1f / 24, 1f / 6, 1f / 2, 1f, 1f
  };

  private ExactMath() {}

  /**
   * Coefficients of exp on [−ln2/2, ln2/2], highest power first (the Taylor series, 7th degree).
   */
  public static float[] expCoefficients() {
    return EXP_TAYLOR.clone();
  }

  /** e^x within 1 ulp or two of the true value; NaN stays NaN. */
  public static float exp(float x) {
    float clamped = Math.min(Math.max(x, EXP_MIN), EXP_MAX + 1);
    float n = Math.fma(clamped, LOG2_E, ROUNDING) - ROUNDING;
    float r = Math.fma(n, -LN2_LOW, Math.fma(n, -LN2_HIGH, clamped));
    float p = EXP_TAYLOR[0];
    for (int i = 1; i < EXP_TAYLOR.length; i++) {
      p = Math.fma(p, r, EXP_TAYLOR[i]);
    }
    int whole = (int) n;
    int half = whole >> 1;
    return p * powerOfTwo(half) * powerOfTwo(whole - half);
  }

  private static float powerOfTwo(int n) {
    return Float.intBitsToFloat((n + 127) << 23);
  }
}
