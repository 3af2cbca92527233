package dev.bulkgen.cli.bench;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelWeights;

/** What a step must do at the least: bytes to move, multiply-adds to make. */
public record Workload(double bytes, double multiplyAdds) {

  /** A decode step of {@code batch} sequences with {@code context} cached tokens each. */
  public static Workload decode(ModelWeights weights, CacheLayout layout, int batch, int context) {
    double cache = (double) layout.sequenceBytes(context) - unusedWindow(layout, context);
    return new Workload(
        weights.bytesPerStep() + batch * cache,
        (double) batch * (matrixElements(weights) + attention(weights.config(), context)));
  }

  /** A prompt of {@code tokens} alone; the head is needed for its last token only. */
  static Workload prompt(ModelWeights weights, int tokens) {
    double head = (double) weights.head().weight().rows() * weights.head().weight().cols();
    double layers = matrixElements(weights) - head;
    double meanContext = (tokens + 1) / 2.0;
    return new Workload(
        weights.bytesPerStep(),
        tokens * (layers + attention(weights.config(), meanContext)) + head);
  }

  /** Seconds at the roof: the slower of moving and multiplying. */
  double roofSeconds(double bytesPerSecond, double multiplyAddsPerSecond) {
    return Math.max(bytes / bytesPerSecond, multiplyAdds / multiplyAddsPerSecond);
  }

  private static double matrixElements(ModelWeights weights) {
    return (double) weights.bytesPerStep() / weights.head().weight().dtype().bytes();
  }

  private static double attention(ModelConfig config, double context) {
    AttentionShape shape = config.attention();
    return 2.0 * config.layerCount() * shape.queryWidth() * context;
  }

  // The slot is held whole, but a step reads only what stands in it.
  private static double unusedWindow(CacheLayout layout, int context) {
    if (layout.windowBytes() == 0) {
      return 0;
    }
    double tokenBytes = 4.0 * layout.layers() * layout.kvHeads() * layout.headDim();
    double keys = context - layout.keysInPages(context);
    double values = context - layout.valuesInPages(context);
    return layout.windowBytes() - tokenBytes / 2 * (keys + values);
  }
}
