package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.MlpForm;
import java.util.HashMap;
import java.util.Map;

/**
 * Products of activations with a weight, {@code acc[m][n] = Σ_k x[m][k] · weight[n][k]}, on tensor
 * cores with float sums. A row has the same bits whatever the number of rows (P1): kernels differ
 * in their tiles, not in the order of a sum.
 *
 * <p>One of these serves one stream: its products share {@code partials} and {@code arrivals}.
 */
public final class MatmulKernels implements Products {
  private static final int STORE = 0;
  private static final int ADD = 1;
  private static final int ALIGNMENT = 16;
  private static final int GATE_PAIR = 16;

  private final CudaContext context;
  private final DeviceMemory partials;
  private final DeviceMemory arrivals;
  private final Map<String, KernelArguments> arguments = new HashMap<>();

  /**
   * @param partials and arrivals: as large as {@link DeviceMatrix#needs} says for every weight; all
   *     of arrivals is 0
   */
  public MatmulKernels(CudaContext context, DeviceMemory partials, DeviceMemory arrivals) {
    this.context = context;
    this.partials = partials;
    this.arrivals = arrivals;
  }

  /** {@code out[m][n] = acc + bias[n]}, floats [rows][outStride]. */
  @Override
  public void store(
      CudaStream stream, Pieces x, int rows, DeviceMatrix weight, long out, int outStride) {
    launch(stream, new Product(x, rows, weight, out, outStride, STORE));
  }

  /** {@code out[m][n] += acc + bias[n]}, floats [rows][outStride]. */
  @Override
  public void add(
      CudaStream stream, Pieces x, int rows, DeviceMatrix weight, long out, int outStride) {
    launch(stream, new Product(x, rows, weight, out, outStride, ADD));
  }

  @Override
  public void activate(
      CudaStream stream, Pieces x, int rows, DeviceMatrix weight, MlpForm form, Pieces out) {
    launch(stream, new Product(x, rows, weight, form, out));
  }

  private void launch(CudaStream stream, Product product) {
    DeviceMatrix weight = product.weight;
    int pieces = product.x.count() * weight.numbers().count();
    MatmulPlan plan = MatmulPlan.of(product.rows, weight.columns(), weight.depth(), pieces);
    multiply(stream, plan.on(context.device().multiprocessors()), product);
  }

  /** A product of one launch: floats go to {@code out}, or pieces to {@code outPieces}. */
  record Product(
      Pieces x,
      int rows,
      DeviceMatrix weight,
      long out,
      Pieces outPieces,
      int outStride,
      int epilogue) {

    Product(Pieces x, int rows, DeviceMatrix weight, long out, int outStride, int epilogue) {
      this(x, rows, weight, out, null, outStride, epilogue);
    }

    Product(Pieces x, int rows, DeviceMatrix weight, MlpForm form, Pieces out) {
      this(x, rows, weight, 0, out, out.stride(), epilogue(form));
    }

    static int epilogue(MlpForm form) {
      return switch (form) {
        case SILU_GATED -> 2;
        case GELU -> 3;
        case GELU_TANH -> 4;
      };
    }

    boolean gated() {
      return epilogue == 2;
    }

    int outColumns() {
      return gated() ? weight.columns() / 2 : weight.columns();
    }

    boolean isSound() {
      return rows > 0
          && x.type() == weight.numbers().type()
          && x.stride() == weight.depth()
          && x.address() % ALIGNMENT == 0
          && x.planeStride() * Pieces.BYTES % ALIGNMENT == 0
          && outStride >= outColumns()
          && (outPieces == null || outPieces.type() == x.type())
          && (!gated() || weight.columns() % GATE_PAIR == 0);
    }
  }

  /** Launches {@code product} as {@code plan} says. */
  void multiply(CudaStream stream, MatmulPlan plan, Product product) {
    check(plan, product);
    DeviceMatrix weight = product.weight;
    Pieces out = product.outPieces;
    Kernel kernel = context.kernels().kernel(plan.tile().kernel(product.x));
    KernelArguments set =
        arguments
            .computeIfAbsent(kernel.signature().name(), name -> kernel.arguments())
            .setAddress("x", product.x.address())
            .set("xPieceStride", product.x.planeStride())
            .setAddress("weight", weight.numbers().address())
            .set("weightPieceStride", weight.numbers().planeStride())
            .setAddress("bias", weight.bias())
            .setAddress("out", product.out)
            .setAddress("outPieces", out == null ? 0 : out.address())
            .set("outPieceStride", out == null ? 0L : out.planeStride())
            .set("partials", plan.partialBytes() == 0 ? null : partials)
            .set("arrivals", plan.arrivals() == 0 ? null : arrivals)
            .set("rows", product.rows)
            .set("columns", weight.columns())
            .set("depth", weight.depth())
            .set("splits", plan.splits())
            .set("outStride", product.outStride)
            .set("xPieces", product.x.count())
            .set("weightPieces", weight.numbers().count())
            .set("outPieceCount", out == null ? 0 : out.count())
            .set("epilogue", product.epilogue);
    int shared = plan.tile().sharedBytes(product.x.count(), weight.numbers().count());
    kernel.launch(stream, Grid.of(plan.blocks(), 1, plan.splitBlocks()), shared, set);
  }

  private void check(MatmulPlan plan, Product product) {
    if (!product.isSound()) {
      throw BulkgenException.of(ErrorCode.INTERNAL, "operands do not fit together: %s", product);
    }
    if (plan.partialBytes() > partials.bytes()
        || (long) Integer.BYTES * plan.arrivals() > arrivals.bytes()) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "a product needs %d bytes of partial sums and %d counters; it has %s and %s",
          plan.partialBytes(),
          plan.arrivals(),
          partials,
          arrivals);
    }
  }
}
