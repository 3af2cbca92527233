package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.backend.cuda.CublasProducts;
import dev.bulkgen.backend.cuda.DeviceMatrix;
import dev.bulkgen.backend.cuda.DeviceMemory;
import dev.bulkgen.backend.cuda.MatmulKernels;
import dev.bulkgen.backend.cuda.MatmulNeeds;
import dev.bulkgen.backend.cuda.Pieces;
import dev.bulkgen.tensor.DType;
import java.util.SplittableRandom;

/** Matrix products with bfloat16 weights: a few rows against memory, many against tensor cores. */
final class ProductBench {
  private static final int CHECKED = 24;
  // Of the sum of magnitudes: float sums in an order of the kernel's own.
  private static final double SUM_ERROR = 0x1p-17;

  private final Device device;
  private final BenchSizes sizes;
  private final RoofBench.Roofs roofs;
  private final RandomNumbers activations = new RandomNumbers(DType.BF16, 1, 2);
  private final RandomNumbers weights = new RandomNumbers(DType.BF16, 1, 3);
  private final SplittableRandom random = new SplittableRandom(4);

  ProductBench(Device device, BenchSizes sizes, RoofBench.Roofs roofs) {
    this.device = device;
    this.sizes = sizes;
    this.roofs = roofs;
  }

  /** One product by several weights of the same numbers, so that no cache holds them. */
  private final class Case {
    final BenchSizes.Product shape;
    final int rows;
    final DeviceMatrix[] turns;
    final Pieces x;
    final DeviceMemory out;
    final MatmulKernels kernels;

    Case(BenchSizes.Product shape, int rows) {
      this.shape = shape;
      this.rows = rows;
      long count = (long) shape.columns() * shape.depth();
      int copies = (int) Math.max(1, Math.min(16, sizes.turnBytes() / (Short.BYTES * count) + 1));
      turns = new DeviceMatrix[copies];
      for (int i = 0; i < copies; i++) {
        DeviceMemory memory = device.take(weights, count, "a weight");
        turns[i] =
            new DeviceMatrix(
                Pieces.of(memory.address(), DType.BF16, 1, shape.columns(), shape.depth()),
                shape.columns(),
                0);
      }
      DeviceMemory left = device.take(activations, (long) rows * shape.depth(), "activations");
      x = Pieces.of(left.address(), DType.BF16, 1, rows, shape.depth());
      out = device.take((long) Float.BYTES * rows * shape.columns(), "products");
      MatmulNeeds needs = turns[0].needs(rows, 1);
      DeviceMemory partials = device.take(Math.max(16, needs.partialBytes()), "partial sums");
      DeviceMemory arrivals =
          device.take(Math.max(16, (long) Integer.BYTES * needs.arrivals()), "counters");
      device.stream.fill(arrivals, (byte) 0);
      kernels = new MatmulKernels(device.context, partials, arrivals);
    }

    void multiply(int call) {
      kernels.store(
          device.stream, x, rows, turns[call % turns.length], out.address(), shape.columns());
    }

    void checkAnswers(String who) {
      for (int i = 0; i < CHECKED; i++) {
        int row = i == 0 ? rows - 1 : random.nextInt(rows);
        int column = i == 0 ? shape.columns() - 1 : random.nextInt(shape.columns());
        double sum = 0;
        double magnitude = 0;
        for (int k = 0; k < shape.depth(); k++) {
          double term =
              (double) activations.at((long) row * shape.depth() + k)
                  * weights.at((long) column * shape.depth() + k);
          sum += term;
          magnitude += Math.abs(term);
        }
        Check.near(
            who + " product " + shape.name() + ", row " + row + ", column " + column,
            device.floatAt(out, (long) row * shape.columns() + column),
            sum,
            SUM_ERROR * magnitude);
      }
    }

    double operations() {
      return 2.0 * rows * shape.columns() * shape.depth();
    }

    /** Weight, activations and results, each once. */
    double bytes() {
      return (double) Short.BYTES * shape.depth() * (shape.columns() + rows)
          + (double) Float.BYTES * rows * shape.columns();
    }
  }

  void measure(Figures figures) {
    for (BenchSizes.Product shape : sizes.products()) {
      for (int rows : sizes.decodeRows()) {
        device.run(() -> measureDecode(new Case(shape, rows), figures));
      }
    }
    for (BenchSizes.Product shape : sizes.products()) {
      for (int rows : sizes.prefillRows()) {
        if (shape.prefill()) {
          device.run(() -> measurePrefill(new Case(shape, rows), figures));
        }
      }
    }
  }

  private double seconds(Case product) {
    product.multiply(0);
    product.checkAnswers("own");
    return device.timer.median("products", product::multiply);
  }

  private void measureDecode(Case product, Figures figures) {
    double rate = product.bytes() / seconds(product);
    figures.add(
        Figure.of("decode product", settings(product), rate / 1e9, "GB/s")
            .under(roofs.bytesPerSecond() / 1e9, "copy"));
  }

  private void measurePrefill(Case product, Figures figures) {
    double rate = product.operations() / seconds(product);
    figures.add(
        Figure.of("prefill product", settings(product), rate / 1e12, "TFLOP/s")
            .under(roofs.operationsPerSecond() / 1e12, "tensor cores"));
    if (CublasProducts.unavailable().isEmpty()) {
      measureCublas(product, figures);
    }
  }

  private void measureCublas(Case product, Figures figures) {
    try (CublasProducts cublas = CublasProducts.open()) {
      Runnable multiply =
          () ->
              cublas.store(
                  device.stream,
                  product.x,
                  product.rows,
                  product.turns[0],
                  product.out.address(),
                  product.shape.columns());
      device.stream.fill(product.out, (byte) -1);
      multiply.run();
      product.checkAnswers("cuBLAS");
      double rate = product.operations() / device.timer.medianUncaptured(multiply);
      figures.add(
          Figure.of("  by cuBLAS", settings(product), rate / 1e12, "TFLOP/s")
              .under(roofs.operationsPerSecond() / 1e12, "tensor cores"));
    }
  }

  private static java.util.Map<String, Object> settings(Case product) {
    return Figure.settings(
        "weight", product.shape.name(),
        "depth", product.shape.depth(),
        "columns", product.shape.columns(),
        "rows", product.rows);
  }
}
