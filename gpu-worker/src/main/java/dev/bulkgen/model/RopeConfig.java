package dev.bulkgen.model;

/**
 * Rotary position embedding: base frequency and one of the published ways to stretch it. Field
 * names follow {@code rope_scaling} of config.json.
 */
public record RopeConfig(double theta, Scaling scaling) {

  public sealed interface Scaling {}

  public record None() implements Scaling {}

  public record Linear(double factor) implements Scaling {}

  /** Llama 3.1: frequencies above, between and below two wavelengths are kept, blended, divided. */
  public record Llama3(
      double factor, double lowFreqFactor, double highFreqFactor, int originalMaxPositions)
      implements Scaling {}

  /** YaRN (arXiv 2309.00071). {@code attentionFactor} multiplies cos and sin. */
  public record Yarn(
      double factor,
      double betaFast,
      double betaSlow,
      int originalMaxPositions,
      double attentionFactor)
      implements Scaling {}
}
