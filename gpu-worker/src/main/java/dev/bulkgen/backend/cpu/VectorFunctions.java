package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;

import dev.bulkgen.tensor.ExactMath;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/** The functions of {@link ExactMath} lane by lane, step by step the same. */
final class VectorFunctions {
  // Single constants: elements of an array would be loaded and checked in every step.
  private static final float[] EXP = ExactMath.expCoefficients();
  private static final float EXP_7 = EXP[0];
  private static final float EXP_6 = EXP[1];
  private static final float EXP_5 = EXP[2];
  private static final float EXP_4 = EXP[3];
  private static final float EXP_3 = EXP[4];
  private static final float EXP_2 = EXP[5];
  private static final float EXP_1 = EXP[6];
  private static final float EXP_0 = EXP[7];
  private static final float[] NEAR = ExactMath.erfNearCoefficients();
  private static final float NEAR_6 = NEAR[0];
  private static final float NEAR_5 = NEAR[1];
  private static final float NEAR_4 = NEAR[2];
  private static final float NEAR_3 = NEAR[3];
  private static final float NEAR_2 = NEAR[4];
  private static final float NEAR_1 = NEAR[5];
  private static final float NEAR_0 = NEAR[6];
  private static final float[] FAR = ExactMath.erfFarCoefficients();
  private static final float FAR_6 = FAR[0];
  private static final float FAR_5 = FAR[1];
  private static final float FAR_4 = FAR[2];
  private static final float FAR_3 = FAR[3];
  private static final float FAR_2 = FAR[4];
  private static final float FAR_1 = FAR[5];
  private static final float FAR_0 = FAR[6];
  private static final float[] TANH = ExactMath.tanhCoefficients();
  private static final float TANH_4 = TANH[0];
  private static final float TANH_3 = TANH[1];
  private static final float TANH_2 = TANH[2];
  private static final float TANH_1 = TANH[3];
  private static final float TANH_0 = TANH[4];
  private static final int SIGN = 0x80000000;
  private static final int EXPONENT_BIAS = 127;
  private static final int MANTISSA_BITS = 23;

  private VectorFunctions() {}

  /** {@link ExactMath#exp}. */
  static FloatVector exp(FloatVector x) {
    FloatVector clamped = x.max(ExactMath.EXP_MIN).min(ExactMath.EXP_MAX + 1);
    FloatVector shifted = clamped.fma(broadcast(ExactMath.LOG2_E), broadcast(ExactMath.ROUNDING));
    FloatVector n = shifted.sub(ExactMath.ROUNDING);
    FloatVector r = n.fma(broadcast(-ExactMath.LN2_HIGH), clamped);
    r = n.fma(broadcast(-ExactMath.LN2_LOW), r);
    FloatVector p = broadcast(EXP_7).fma(r, broadcast(EXP_6));
    p = p.fma(r, broadcast(EXP_5));
    p = p.fma(r, broadcast(EXP_4));
    p = p.fma(r, broadcast(EXP_3));
    p = p.fma(r, broadcast(EXP_2));
    p = p.fma(r, broadcast(EXP_1));
    p = p.fma(r, broadcast(EXP_0));
    // The low bits of the shifted number are the integer n: JDK 17 converts lanes one by one. For
    // NaN they are arbitrary, but p is NaN then.
    IntVector whole = shifted.reinterpretAsInts().sub(Float.floatToRawIntBits(ExactMath.ROUNDING));
    IntVector half = whole.lanewise(VectorOperators.ASHR, 1);
    return p.mul(powerOfTwo(half)).mul(powerOfTwo(whole.sub(half)));
  }

  /**
   * The argument of the exponential in {@link ExactMath#gelu}. It and the rest are steps of their
   * own, because the compiler gives up on a loop that holds the whole function.
   */
  static FloatVector geluExponent(FloatVector x) {
    return erfFar(x.mul(ExactMath.SQRT_HALF).abs().min(ExactMath.ERF_MAX)).neg();
  }

  /** {@link ExactMath#gelu} from the exponential of {@link #geluExponent}. */
  static FloatVector gelu(FloatVector x, FloatVector power) {
    FloatVector argument = x.mul(ExactMath.SQRT_HALF);
    FloatVector magnitude = argument.abs();
    FloatVector near = magnitude.mul(erfNear(magnitude.mul(magnitude)));
    FloatVector erf =
        broadcast(1f)
            .sub(power)
            .blend(near, magnitude.compare(VectorOperators.LT, ExactMath.ERF_SPLIT));
    return x.mul(0.5f).mul(withSignOf(erf, argument).add(1f));
  }

  /** The argument of the exponential in {@link ExactMath#geluTanh}. */
  static FloatVector geluTanhExponent(FloatVector x) {
    FloatVector magnitude = geluTanhArgument(x).abs();
    return magnitude.add(magnitude);
  }

  /** {@link ExactMath#geluTanh} from the exponential of {@link #geluTanhExponent}. */
  static FloatVector geluTanh(FloatVector x, FloatVector power) {
    FloatVector argument = geluTanhArgument(x);
    FloatVector magnitude = argument.abs();
    FloatVector square = magnitude.mul(magnitude);
    FloatVector near = magnitude.mul(square).fma(tanhNear(square), magnitude);
    FloatVector tanh =
        broadcast(1f)
            .sub(broadcast(2f).div(power.add(1f)))
            .blend(near, magnitude.compare(VectorOperators.LT, ExactMath.TANH_SPLIT));
    return x.mul(0.5f).mul(withSignOf(tanh, argument).add(1f));
  }

  private static FloatVector geluTanhArgument(FloatVector x) {
    return x.mul(ExactMath.GELU_TANH_CUBIC).mul(x).fma(x, x).mul(ExactMath.SQRT_TWO_OVER_PI);
  }

  /** {@link ExactMath#silu}. */
  static FloatVector silu(FloatVector x) {
    return x.div(exp(x.neg()).add(1f));
  }

  private static FloatVector erfNear(FloatVector x) {
    FloatVector p = broadcast(NEAR_6).fma(x, broadcast(NEAR_5));
    p = p.fma(x, broadcast(NEAR_4));
    p = p.fma(x, broadcast(NEAR_3));
    p = p.fma(x, broadcast(NEAR_2));
    p = p.fma(x, broadcast(NEAR_1));
    return p.fma(x, broadcast(NEAR_0));
  }

  private static FloatVector erfFar(FloatVector x) {
    FloatVector p = broadcast(FAR_6).fma(x, broadcast(FAR_5));
    p = p.fma(x, broadcast(FAR_4));
    p = p.fma(x, broadcast(FAR_3));
    p = p.fma(x, broadcast(FAR_2));
    p = p.fma(x, broadcast(FAR_1));
    return p.fma(x, broadcast(FAR_0));
  }

  private static FloatVector tanhNear(FloatVector x) {
    FloatVector p = broadcast(TANH_4).fma(x, broadcast(TANH_3));
    p = p.fma(x, broadcast(TANH_2));
    p = p.fma(x, broadcast(TANH_1));
    return p.fma(x, broadcast(TANH_0));
  }

  private static FloatVector withSignOf(FloatVector magnitude, FloatVector sign) {
    return magnitude
        .reinterpretAsInts()
        .lanewise(VectorOperators.OR, sign.reinterpretAsInts().lanewise(VectorOperators.AND, SIGN))
        .reinterpretAsFloats();
  }

  private static FloatVector powerOfTwo(IntVector n) {
    return n.add(EXPONENT_BIAS).lanewise(VectorOperators.LSHL, MANTISSA_BITS).reinterpretAsFloats();
  }
}
