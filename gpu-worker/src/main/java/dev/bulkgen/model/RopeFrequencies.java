package dev.bulkgen.model;

/**
 * Angles of the rotary position embedding (arXiv 2104.09864, section 3.4): pair i of a head turns
 * by position · inverseFrequency(i). Halves are paired as in the published checkpoints: element i
 * with element i + headDim/2.
 *
 * <p>Everything is computed in double with {@link StrictMath}, so that every CPU has the same bits.
 * Inverse frequencies are rounded to float before they are multiplied by a position: the models
 * were trained with float tables.
 */
public final class RopeFrequencies {
  private final float[] inverse;
  private final double magnitude;

  private RopeFrequencies(float[] inverse, double magnitude) {
    this.inverse = inverse;
    this.magnitude = magnitude;
  }

  /**
   * @param headDim even
   */
  public static RopeFrequencies of(RopeConfig rope, int headDim) {
    int pairs = headDim / 2;
    float[] inverse = new float[pairs];
    RopeConfig.Scaling scaling = rope.scaling();
    for (int i = 0; i < pairs; i++) {
      double plain = 1 / StrictMath.pow(rope.theta(), 2.0 * i / headDim);
      inverse[i] = (float) scaled(scaling, plain, i, rope.theta(), headDim);
    }
    double magnitude = scaling instanceof RopeConfig.Yarn yarn ? yarn.attentionFactor() : 1;
    return new RopeFrequencies(inverse, magnitude);
  }

  /** Radians a position adds to each pair [headDim / 2]. */
  public float[] inverseFrequencies() {
    return inverse.clone();
  }

  /** What cosine and sine are multiplied by; 1 but for YaRN. */
  public float magnitude() {
    return (float) magnitude;
  }

  /**
   * Cosines and sines of a position, times {@link #magnitude}.
   *
   * @param cos filled from {@code offset} on with headDim / 2 values
   * @param sin likewise
   */
  public void cosSin(int position, float[] cos, float[] sin, int offset) {
    for (int i = 0; i < inverse.length; i++) {
      double angle = (double) position * inverse[i];
      cos[offset + i] = (float) (StrictMath.cos(angle) * magnitude);
      sin[offset + i] = (float) (StrictMath.sin(angle) * magnitude);
    }
  }

  private static double scaled(
      RopeConfig.Scaling scaling, double plain, int pair, double theta, int headDim) {
    if (scaling instanceof RopeConfig.Linear linear) {
      return plain / linear.factor();
    }
    if (scaling instanceof RopeConfig.Llama3 llama3) {
      return llama3(llama3, plain);
    }
    if (scaling instanceof RopeConfig.Yarn yarn) {
      return yarn(yarn, plain, pair, theta, headDim);
    }
    return plain;
  }

  /**
   * Llama 3.1, as Meta published it with the model: wavelengths below original / highFreqFactor are
   * kept, above original / lowFreqFactor divided, between them blended.
   */
  private static double llama3(RopeConfig.Llama3 rope, double plain) {
    double turns = rope.originalMaxPositions() * plain / (2 * StrictMath.PI);
    double kept = (turns - rope.lowFreqFactor()) / (rope.highFreqFactor() - rope.lowFreqFactor());
    return blend(plain / rope.factor(), plain, kept);
  }

  /**
   * YaRN, section 3.2 of arXiv 2309.00071: pairs that turn more than betaFast times over the
   * original length are kept, fewer than betaSlow times divided, with a ramp over the pairs
   * between. The ramp's ends are whole pairs, as in the authors' code.
   */
  private static double yarn(
      RopeConfig.Yarn rope, double plain, int pair, double theta, int headDim) {
    double low = Math.max(0, StrictMath.floor(pairTurning(rope, rope.betaFast(), theta, headDim)));
    double high =
        Math.min(headDim - 1, StrictMath.ceil(pairTurning(rope, rope.betaSlow(), theta, headDim)));
    // The authors' guard against a ramp of no length.
    double length = low == high ? 0.001 : high - low;
    return blend(plain, plain / rope.factor(), (pair - low) / length);
  }

  /** The pair, as a real number, that turns {@code turns} times over the original length. */
  private static double pairTurning(RopeConfig.Yarn rope, double turns, double theta, int headDim) {
    return headDim
        * StrictMath.log(rope.originalMaxPositions() / (turns * 2 * StrictMath.PI))
        / (2 * StrictMath.log(theta));
  }

  private static double blend(double atZero, double atOne, double share) {
    double s = Math.max(0, Math.min(1, share));
    return s == 0 ? atZero : s == 1 ? atOne : (1 - s) * atZero + s * atOne;
  }
}
