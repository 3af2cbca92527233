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

  /** erf(x) = x · p(x²) below {@link #ERF_SPLIT}. */
  public static final float ERF_SPLIT = 1f;

  /** From here on erf is 1 in float. */
  public static final float ERF_MAX = 4f;

  /** tanh(x) = x + x³ · p(x²) below this. */
  public static final float TANH_SPLIT = 0.625f;

  public static final float SQRT_HALF = 0x1.6a09e6p-1f;
  public static final float SQRT_TWO_OVER_PI = 0.7978845608f;
  public static final float GELU_TANH_CUBIC = 0.044715f;

  // Weighted least squares on Chebyshev nodes, reweighted towards the largest error (Lawson); fit
  // errors 1.2e-9 and 1.0e-9 (erf, absolute), 1e-8 (tanh, absolute).
  private static final float[] ERF_NEAR = {
    7.889119297e-05f,
    -0.000802084105f,
    0.005189535208f,
    -0.0268544443f,
    0.1128360033f,
    -0.3761262596f,
    1.1283791065f
  };
  private static final float[] ERF_FAR = {
    -0.00018557489966f,
    0.00293961563f,
    -0.02180535160f,
    0.10303743184f,
    0.63822561502f,
    1.12704002857f,
    0.00035370892147f
  };
  private static final float[] TANH_NEAR = {
    -0.00611318880692f, 0.02101007848978f, -0.05385407060385f, 0.13332794606686f, -0.3333332836628f
  };

  public static final double LN2 = 0x1.62e42fefa39efp-1;

  /** The first bits of √½: {@link #log} takes powers of two out until √½ to √2 is left. */
  private static final long LOG_SPLIT_BITS = 0x3FE6A09E00000000L;

  private static final int DOUBLE_MANTISSA_BITS = 52;

  /** Of artanh(s) / s in s²: 1/15 ... 1/3; what is left out is below 1e-13 of the logarithm. */
  private static final double[] ARTANH_SERIES = {
    1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3
  };

  private ExactMath() {}

  /** Coefficients of erf(x) / x in x², on [0, 1], highest power first. */
  public static float[] erfNearCoefficients() {
    return ERF_NEAR.clone();
  }

  /** Coefficients of −ln(1 − erf(x)) in x, on [1, 4], highest power first. */
  public static float[] erfFarCoefficients() {
    return ERF_FAR.clone();
  }

  /** Coefficients of (tanh(x) / x − 1) / x² in x², on [0, 0.625²], highest power first. */
  public static float[] tanhCoefficients() {
    return TANH_NEAR.clone();
  }

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
    float p = polynomial(EXP_TAYLOR, r);
    int whole = (int) n;
    int half = whole >> 1;
    return p * powerOfTwo(half) * powerOfTwo(whole - half);
  }

  /**
   * The error function within 2e-7. Both branches are computed and one is taken, with a sign put
   * back at the end, so that lanes need a select and no branch.
   */
  public static float erf(float x) {
    float magnitude = Math.abs(x);
    float near = magnitude * polynomial(ERF_NEAR, magnitude * magnitude);
    float far = 1f - exp(-polynomial(ERF_FAR, Math.min(magnitude, ERF_MAX)));
    return withSignOf(magnitude < ERF_SPLIT ? near : far, x);
  }

  /** The hyperbolic tangent within 2e-7, made like {@link #erf}. */
  public static float tanh(float x) {
    float magnitude = Math.abs(x);
    float square = magnitude * magnitude;
    float near = Math.fma(magnitude * square, polynomial(TANH_NEAR, square), magnitude);
    float far = 1f - 2f / (exp(magnitude + magnitude) + 1f);
    return withSignOf(magnitude < TANH_SPLIT ? near : far, x);
  }

  /** x · Φ(x) = x/2 · (1 + erf(x/√2)). */
  public static float gelu(float x) {
    return 0.5f * x * (1f + erf(x * SQRT_HALF));
  }

  /** x/2 · (1 + tanh(√(2/π) · (x + 0.044715 · x³))), the approximation of arXiv 1606.08415. */
  public static float geluTanh(float x) {
    float inner = SQRT_TWO_OVER_PI * Math.fma(GELU_TANH_CUBIC * x * x, x, x);
    return 0.5f * x * (1f + tanh(inner));
  }

  /** x / (1 + e^−x). */
  public static float silu(float x) {
    return x / (1f + exp(-x));
  }

  /**
   * The natural logarithm of a normal positive number within 1e-13 of itself: ln m + e · ln 2, with
   * ln m = 2 artanh((m − 1) / (m + 1)).
   */
  public static double log(double x) {
    long bits = Double.doubleToRawLongBits(x);
    long exponent = bits - LOG_SPLIT_BITS >> DOUBLE_MANTISSA_BITS;
    double m = Double.longBitsToDouble(bits - (exponent << DOUBLE_MANTISSA_BITS));
    double s = (m - 1) / (m + 1);
    double square = s * s;
    double p = ARTANH_SERIES[0];
    for (int i = 1; i < ARTANH_SERIES.length; i++) {
      p = Math.fma(p, square, ARTANH_SERIES[i]);
    }
    double twice = s + s;
    return Math.fma((double) exponent, LN2, Math.fma(twice * square, p, twice));
  }

  private static float polynomial(float[] coefficients, float x) {
    float p = coefficients[0];
    for (int i = 1; i < coefficients.length; i++) {
      p = Math.fma(p, x, coefficients[i]);
    }
    return p;
  }

  private static float withSignOf(float magnitude, float sign) {
    int bits = Float.floatToRawIntBits(magnitude);
    return Float.intBitsToFloat(bits | (Float.floatToRawIntBits(sign) & 0x80000000));
  }

  private static float powerOfTwo(int n) {
    return Float.intBitsToFloat((n + 127) << 23);
  }
}
