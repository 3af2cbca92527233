package dev.bulkgen.schedule;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelDescription;

/**
 * How long a step takes on an H100 SXM 80 GB whose kernels run at its roofs: for comparing policies
 * and schedules with each other, not a forecast of a card's speed. Prompts and decoding rows of a
 * step run one after the other, as in the CUDA backend, each reading all weights; swaps are not
 * overlapped.
 */
final class StepCost {
  /** HBM3 of the SXM5 card, bytes/s: NVIDIA H100 datasheet. */
  private static final double MEMORY_BYTES_PER_SECOND = 3.35e12;

  /**
   * Dense tensor cores in 16 bits, operations/s: NVIDIA H100 datasheet, half of "with sparsity".
   */
  private static final double OPERATIONS_PER_SECOND = 989e12;

  /** PCIe 5.0 x16, one direction, bytes/s: 32 GT/s in 16 lanes with 128b/130b coding. */
  private static final double BUS_BYTES_PER_SECOND = 63e9;

  /** Assumed: about ten kernels a layer in a captured graph, 1 µs between two of 32 layers. */
  private static final double LAUNCH_SECONDS = 320e-6;

  private final CacheLayout layout;
  private final double weightBytes;
  private final double operationsPerToken;
  private final double attentionOperations; // a token and attended token, all layers
  private final double pageBytesPerToken;
  private final double windowBytesPerToken;
  private final int window;

  StepCost(ModelDescription model, CacheLayout layout) {
    this.layout = layout;
    ModelConfig config = model.config();
    weightBytes = model.weightBytes();
    operationsPerToken = 2.0 * model.parameterCount();
    attentionOperations = 4.0 * layout.layers() * config.attention().queryWidth();
    pageBytesPerToken = (double) layout.layers() * layout.pageBytes() / layout.pageTokens();
    window = layout.policy() instanceof CachePolicy.Kivi kivi ? kivi.window() : 0;
    windowBytesPerToken = 2.0 * Short.BYTES * layout.layers() * config.attention().kvWidth();
  }

  /** Of decoding rows that attend to so many tokens in all, the window's counted apart. */
  double decodeSeconds(int rows, long tokens, long windowTokens) {
    if (rows == 0) {
      return 0;
    }
    double products =
        Math.max(
            weightBytes / MEMORY_BYTES_PER_SECOND,
            rows * operationsPerToken / OPERATIONS_PER_SECOND);
    double cacheBytes =
        (tokens - windowTokens) * pageBytesPerToken + windowTokens * windowBytesPerToken;
    return LAUNCH_SECONDS + products + cacheBytes / MEMORY_BYTES_PER_SECOND;
  }

  /**
   * How many of a sequence's tokens are read in float16; K's share of a window is half on average.
   */
  int windowTokens(int length) {
    return Math.min(length, window * 3 / 4);
  }

  /** Operations of the prompt tokens {@code [from, to)}. */
  double promptOperations(long from, long to) {
    double attended = (to * (to + 1) - from * (from + 1)) / 2.0;
    return (to - from) * operationsPerToken + attended * attentionOperations;
  }

  double promptSeconds(double operations) {
    return operations == 0
        ? 0
        : LAUNCH_SECONDS
            + Math.max(weightBytes / MEMORY_BYTES_PER_SECOND, operations / OPERATIONS_PER_SECOND);
  }

  /** Bytes of so many pages and windows that go over the bus. */
  long swapBytes(int pages, int windows) {
    return (long) pages * layout.pageBytes() + windows * layout.windowBytes();
  }

  double swapSeconds(long bytes) {
    return bytes / BUS_BYTES_PER_SECOND;
  }
}
