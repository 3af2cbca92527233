package dev.bulkgen.model;

import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * Weights by role, mapped in place. Matrices are [out, in]; absent parts are null, and which are
 * absent follows from {@link ModelConfig} alone.
 */
public record ModelWeights(
    ModelConfig config, WeightMatrix embedding, List<Layer> layers, Norm finalNorm, Linear head) {

  /** Elementwise scale [width], and bias [width] for layer norm only. */
  public record Norm(float[] weight, float[] bias) {}

  /** {@code y = weight · x + bias}; bias [out] or null. */
  public record Linear(WeightMatrix weight, float[] bias) {}

  /**
   * @param mlpNorm null where one norm feeds both branches
   * @param queryNorm [headDim], null without q/k norms
   */
  public record Layer(
      Norm attentionNorm,
      Norm mlpNorm,
      Linear query,
      Linear key,
      Linear value,
      Linear output,
      Norm queryNorm,
      Norm keyNorm,
      Linear gate,
      Linear up,
      Linear down) {

    /** All matrices that are there, with their biases. */
    public Stream<Linear> linears() {
      return Stream.of(query, key, value, output, gate, up, down).filter(Objects::nonNull);
    }
  }

  /** Bytes of all matrices that one decode step reads (the embedding gather not counted). */
  public long bytesPerStep() {
    long total = head.weight().bytes();
    for (Layer layer : layers) {
      total += layer.linears().mapToLong(linear -> linear.weight().bytes()).sum();
    }
    return total;
  }
}
