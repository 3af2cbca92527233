package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.backend.cuda.CudaContext;
import dev.bulkgen.backend.cuda.CudaStream;
import dev.bulkgen.backend.cuda.DeviceArrays;
import dev.bulkgen.backend.cuda.DeviceMemory;
import dev.bulkgen.backend.cuda.KernelLibrary;
import dev.bulkgen.backend.cuda.Pieces;
import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import java.util.ArrayDeque;
import java.util.Deque;

/** A device that kernels are measured on: one stream, a timer, and memory of one measurement. */
final class Device implements AutoCloseable {
  final CudaContext context;
  final CudaStream stream;
  final DeviceTimer timer;
  private final DeviceArrays arrays;
  private final Deque<DeviceMemory> taken = new ArrayDeque<>();

  Device(int ordinal, double secondsEach) {
    context = CudaContext.open(ordinal);
    try {
      stream = context.newStream("benchmark");
      timer = new DeviceTimer(context, stream, secondsEach);
      arrays = new DeviceArrays(context);
    } catch (RuntimeException | Error e) {
      context.close();
      throw e;
    }
  }

  KernelLibrary kernels() {
    return context.kernels();
  }

  /** Memory until {@link #release}. */
  DeviceMemory take(long bytes, String what) {
    return keep(context.allocate(bytes, what));
  }

  /** Memory with random numbers until {@link #release}. */
  DeviceMemory take(RandomNumbers numbers, long count, String what) {
    return keep(numbers.onDevice(context, stream, count, what));
  }

  DeviceMemory take(String what, int... values) {
    return keep(arrays.upload(what, values));
  }

  DeviceMemory take(String what, float... values) {
    return keep(arrays.upload(what, values));
  }

  private DeviceMemory keep(DeviceMemory memory) {
    taken.push(memory);
    return memory;
  }

  /** Gives all taken memory back; work on it has ended. */
  void release() {
    stream.synchronize();
    while (!taken.isEmpty()) {
      taken.pop().close();
    }
  }

  /** One float of {@code memory}, after all work. */
  float floatAt(DeviceMemory memory, long index) {
    return arrays.floats(memory.slice(Float.BYTES * index, Float.BYTES, memory.what()))[0];
  }

  /**
   * One number of {@code pieces} that lie at the start of {@code memory}: the sum of its pieces.
   */
  float numberAt(DeviceMemory memory, Pieces pieces, long index) {
    float sum = 0;
    for (int piece = 0; piece < pieces.count(); piece++) {
      long offset = Pieces.BYTES * (piece * pieces.planeStride() + index);
      short bits = arrays.shorts(memory.slice(offset, Pieces.BYTES, memory.what()))[0];
      sum += pieces.type() == DType.BF16 ? BFloat16.toFloat(bits) : Float16.toFloat(bits);
    }
    return sum;
  }

  /** Measures, and gives its memory back whatever happens. */
  void run(Runnable measurement) {
    try {
      measurement.run();
    } finally {
      release();
    }
  }

  @Override
  public void close() {
    timer.close();
    stream.close();
    context.close();
  }
}
