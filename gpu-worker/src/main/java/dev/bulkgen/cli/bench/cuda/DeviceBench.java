package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.backend.cuda.CudaDevice;
import dev.bulkgen.backend.cuda.CudaDriver;
import dev.bulkgen.error.BulkgenException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.function.Consumer;

/**
 * The benchmarks of a card: its roofs, each kernel beside them, generation end to end. Answers are
 * checked before they are timed.
 */
public final class DeviceBench {
  private static final double NANOS = 1e9;

  private final Options options;
  private final BenchSizes sizes;
  private final Figures figures;
  private final long begun = System.nanoTime();

  /** How much there is to measure. */
  public enum Extent {
    /** Published model sizes; for cards. */
    FULL,
    /** Everything once at tiny sizes; for the emulated device. */
    TINY
  }

  /**
   * @param secondsEach of samples of one figure
   * @param budgetSeconds after which no further group of figures is begun
   * @param json that lines of JSON are appended to, or null
   */
  public record Options(
      int ordinal, Extent extent, double secondsEach, double budgetSeconds, Path json) {}

  public DeviceBench(Options options, PrintWriter out) {
    this.options = options;
    sizes = options.extent() == Extent.FULL ? BenchSizes.full() : BenchSizes.tiny();
    figures = new Figures(out, options.json());
  }

  /**
   * @throws BulkgenException DEVICE_UNAVAILABLE where there is no card, INTERNAL for a wrong answer
   */
  public void run() {
    CudaDriver.require();
    CudaDevice card = CudaDevice.of(options.ordinal());
    figures.print(
        "%s, sm_%d, %d multiprocessors, driver for CUDA %d.%d",
        card.name(),
        card.capability(),
        card.multiprocessors(),
        card.driverVersion() / 1000,
        card.driverVersion() % 1000 / 10);
    RoofBench.Roofs[] roofs = new RoofBench.Roofs[1];
    group("roofs", device -> roofs[0] = new RoofBench(device, sizes).measure(figures));
    group(
        "decode attention",
        device -> new CachedAttentionBench(device, sizes, roofs[0]).measure(figures));
    group("products", device -> new ProductBench(device, sizes, roofs[0]).measure(figures));
    group(
        "prefill attention",
        device -> new PromptAttentionBench(device, sizes, roofs[0]).measure(figures));
    for (BenchSizes.Model model : sizes.workload().models()) {
      if (isTimeLeft(model.shape().name())) {
        new GenerationBench(options.ordinal(), sizes, model, roofs[0], this::isTimeLeft)
            .measure(figures);
      }
    }
    figures.print("done in %.0f s", seconds());
  }

  private void group(String name, Consumer<Device> measurement) {
    if (isTimeLeft(name)) {
      try (Device device = new Device(options.ordinal(), options.secondsEach())) {
        measurement.accept(device);
      }
    }
  }

  private boolean isTimeLeft(String name) {
    boolean left = seconds() < options.budgetSeconds();
    if (!left) {
      figures.print("%s: left out, the time budget is spent", name);
    }
    return left;
  }

  private double seconds() {
    return (System.nanoTime() - begun) / NANOS;
  }
}
