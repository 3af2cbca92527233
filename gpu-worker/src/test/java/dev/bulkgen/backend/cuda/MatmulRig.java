package dev.bulkgen.backend.cuda;

import dev.bulkgen.model.MlpForm;
import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import java.util.ArrayDeque;
import java.util.Deque;

/** A device with operands of products on it. Memory that a test takes lives as long as the rig. */
final class MatmulRig implements AutoCloseable {
  final CudaContext context = EmulatedDevice.open();
  final CudaStream stream = context.newStream("products");
  final DeviceArrays arrays = new DeviceArrays(context);
  private final Deque<AutoCloseable> taken = new ArrayDeque<>();

  /** A product's operands: the floats, and what lies on the device. */
  final class Operands {
    final MatmulProblem problem;
    final DType type;
    final Pieces x;
    final DeviceMatrix weight;

    Operands(MatmulProblem problem, DType type, int xPieces, int weightPieces) {
      this.problem = problem;
      this.type = type;
      this.x = pieces(problem.x(), problem.depth(), type, xPieces);
      this.weight =
          new DeviceMatrix(
              pieces(problem.weight(), problem.depth(), type, weightPieces),
              problem.columns(),
              problem.bias() == null ? 0 : floats(problem.bias()).address());
    }

    /** The plan that a run of {@code rows} rows takes by itself. */
    MatmulPlan plan(int rows) {
      int pieces = x.count() * weight.numbers().count();
      return MatmulPlan.of(rows, problem.columns(), problem.depth(), pieces);
    }

    MatmulPlan plan(MatmulTile tile, int rows, int splitBlocks) {
      return MatmulPlan.with(tile, rows, problem.columns(), problem.depth(), splitBlocks);
    }

    /**
     * The floats of the first {@code rows} rows, with {@code outStride}; NaN where nobody wrote.
     */
    float[] store(MatmulPlan plan, int rows, int outStride) {
      DeviceMemory out = take((long) Float.BYTES * rows * outStride);
      run(plan, new MatmulKernels.Product(x, rows, weight, out.address(), outStride, 0));
      return arrays.floats(out);
    }

    /** {@code before} [rows][columns] with the product added. */
    float[] add(float[] before) {
      DeviceMemory out = floats(before);
      int rows = problem.rows();
      run(
          plan(rows),
          new MatmulKernels.Product(x, rows, weight, out.address(), problem.columns(), 1));
      return arrays.floats(out);
    }

    /** Pieces [outPieces][rows][outStride]. */
    short[] activate(MlpForm form, int outPieces, int outStride) {
      int rows = problem.rows();
      DeviceMemory memory = take((long) Short.BYTES * outPieces * rows * outStride);
      Pieces out = Pieces.of(memory.address(), type, outPieces, rows, outStride);
      run(plan(rows), new MatmulKernels.Product(x, rows, weight, form, out));
      return arrays.shorts(memory);
    }
  }

  /** Runs a product with as much scratch memory as its plan says, and none to spare. */
  void run(MatmulPlan plan, MatmulKernels.Product product) {
    try (DeviceMemory partials = context.allocate(Math.max(1, plan.partialBytes()), "partials");
        DeviceMemory arrivals = arrays.upload("arrivals", new int[Math.max(1, plan.arrivals())])) {
      MatmulKernels kernels = new MatmulKernels(context, partials, arrivals);
      kernels.multiply(stream, plan, product);
      stream.synchronize();
      for (int arrived : arrays.ints(arrivals)) {
        if (arrived != 0) {
          throw new AssertionError("a counter of blocks is left at " + arrived);
        }
      }
    }
  }

  DeviceMemory floats(float... values) {
    return keep(arrays.upload("floats", values));
  }

  DeviceMemory take(long bytes) {
    return keep(context.allocate(bytes, "test memory"));
  }

  private DeviceMemory keep(DeviceMemory memory) {
    taken.push(memory);
    return memory;
  }

  private Pieces pieces(float[] values, int stride, DType type, int count) {
    short[] bits = new short[count * values.length];
    for (int i = 0; i < values.length; i++) {
      float rest = values[i];
      for (int piece = 0; piece < count; piece++) {
        bits[piece * values.length + i] = toBits(rest, type);
        rest -= toFloat(bits[piece * values.length + i], type);
      }
    }
    DeviceMemory memory = keep(arrays.upload("pieces", bits));
    return Pieces.of(memory.address(), type, count, values.length / stride, stride);
  }

  static short toBits(float value, DType type) {
    return type == DType.BF16 ? BFloat16.fromFloat(value) : Float16.fromFloat(value);
  }

  static float toFloat(short bits, DType type) {
    return type == DType.BF16 ? BFloat16.toFloat(bits) : Float16.toFloatAny(bits);
  }

  /** Gives back what tests took. */
  void release() {
    while (!taken.isEmpty()) {
      try {
        taken.pop().close();
      } catch (Exception e) {
        throw new AssertionError(e);
      }
    }
  }

  @Override
  public void close() {
    release();
    stream.close();
    context.close();
  }
}
