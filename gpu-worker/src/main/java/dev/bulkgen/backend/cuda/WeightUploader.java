package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.model.ModelWeights.Linear;
import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import java.nio.ShortBuffer;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Brings weights from mapped files to the device: one pinned buffer is filled while the other is
 * copied. Matrices are there for all streams after {@link #finish}.
 */
public final class WeightUploader implements AutoCloseable {
  private static final int BUFFER_BYTES = 8 << 20;
  private static final int ROWS_AT_ONCE = 32;

  private final CudaContext context;
  private final DType type; // null: as the weights have it
  private final int bufferBytes;
  private final CudaStream stream;
  private final Buffer[] buffers = new Buffer[2];
  private int next;

  private record Buffer(PinnedMemory memory, CudaEvent copied) {
    static Buffer open(CudaContext context, int bytes) {
      CudaEvent copied = context.newEvent("weights copied");
      try {
        return new Buffer(context.allocatePinned(bytes, "weights on their way"), copied);
      } catch (RuntimeException | Error e) {
        copied.close();
        throw e;
      }
    }

    void close() {
      Cleanup cleanup = new Cleanup();
      cleanup.run(memory::close);
      cleanup.run(copied::close);
      cleanup.finish();
    }
  }

  /** Each matrix keeps the type of its weights. */
  public WeightUploader(CudaContext context) {
    this(context, null, BUFFER_BYTES);
  }

  /**
   * All matrices in one type, so that the same activations go into every product.
   *
   * @param type that of all weights, or F32, which holds every type (see {@link
   *     MatrixShape#commonType})
   */
  public WeightUploader(CudaContext context, DType type) {
    this(context, type, BUFFER_BYTES);
  }

  WeightUploader(CudaContext context, DType type, int bufferBytes) {
    this.context = context;
    this.type = type;
    this.bufferBytes = bufferBytes;
    this.stream = context.newStream("weights");
  }

  /**
   * Puts the rows of all parts one after the other; one part is the plain case, query, key and
   * value in one matrix another. The bias has zeros where a part has none.
   *
   * @param what for messages
   * @throws BulkgenException DEVICE_OUT_OF_MEMORY with the sizes
   */
  public DeviceWeight upload(String what, Linear... parts) {
    WeightMatrix[] weights = new WeightMatrix[parts.length];
    Arrays.setAll(weights, i -> parts[i].weight());
    return upload(what, stacked(weights), stackedBias(parts));
  }

  /** As above, of one matrix without a bias, such as an embedding. */
  public DeviceWeight upload(String what, WeightMatrix weight) {
    return upload(what, stacked(weight), null);
  }

  /** Alternates the rows of gate and up as {@code matmul}'s epilogue of SiLU wants them. */
  public DeviceWeight uploadGateUp(String what, WeightMatrix gate, WeightMatrix up) {
    MatrixShape shape =
        type == null ? MatrixShape.interleaved(gate, up) : MatrixShape.interleaved(type, gate, up);
    return upload(what, MatrixRows.interleaved(shape, gate, up), null);
  }

  private MatrixRows stacked(WeightMatrix... parts) {
    MatrixShape shape =
        type == null ? MatrixShape.stacked(parts) : MatrixShape.stacked(type, parts);
    return MatrixRows.stacked(shape, parts);
  }

  private DeviceWeight upload(String what, MatrixRows rows, float[] bias) {
    MatrixShape shape = rows.shape();
    DeviceMemory biasMemory =
        bias == null ? null : new DeviceArrays(context).upload(what + " bias", bias);
    DeviceMemory numbers;
    try {
      numbers = context.allocate(shape.bytes(), what);
    } catch (RuntimeException | Error e) {
      if (biasMemory != null) {
        biasMemory.close();
      }
      throw e;
    }
    DeviceWeight weight = new DeviceWeight(shape, numbers, biasMemory);
    try {
      int rowBytes = Math.multiplyExact(shape.pieces() * Short.BYTES, shape.depth());
      int atOnce = Math.max(1, bufferBytes / rowBytes);
      for (int row = 0; row < shape.rows(); row += atOnce) {
        int count = Math.min(atOnce, shape.rows() - row);
        send(weight, rows, row, count);
      }
    } catch (RuntimeException | Error e) {
      // The device may still write to the memory.
      Cleanup cleanup = new Cleanup();
      cleanup.run(this::finish);
      cleanup.run(weight::close);
      cleanup.addTo(e);
      throw e;
    }
    return weight;
  }

  private static float[] stackedBias(Linear... parts) {
    int rows = 0;
    boolean isBiased = false;
    for (Linear part : parts) {
      rows += part.weight().rows();
      isBiased |= part.bias() != null;
    }
    float[] stacked = isBiased ? new float[rows] : null;
    int start = 0;
    for (Linear part : parts) {
      if (part.bias() != null) {
        System.arraycopy(part.bias(), 0, stacked, start, part.weight().rows());
      }
      start += part.weight().rows();
    }
    return stacked;
  }

  private void send(DeviceWeight weight, MatrixRows rows, int row, int count) {
    MatrixShape shape = weight.shape();
    long planeBytes = (long) count * shape.depth() * Short.BYTES;
    Buffer buffer = free(shape.pieces() * planeBytes);
    fill(buffer.memory().buffer().asShortBuffer(), rows, row, count);
    for (int piece = 0; piece < shape.pieces(); piece++) {
      long target = (piece * shape.pieceStride() + (long) row * shape.depth()) * Short.BYTES;
      stream.upload(weight.numbers(), target, buffer.memory(), piece * planeBytes, planeBytes);
    }
    stream.record(buffer.copied());
  }

  /** The buffer that was sent before the last one, once its copy has ended. */
  private Buffer free(long bytes) {
    next = 1 - next;
    Buffer buffer = buffers[next];
    if (buffer != null) {
      buffer.copied().synchronize();
    }
    if (buffer == null || buffer.memory().bytes() < bytes) {
      if (buffer != null) {
        buffers[next] = null;
        buffer.close();
      }
      int wanted = Math.toIntExact(Math.max(bytes, bufferBytes));
      buffers[next] = Buffer.open(context, wanted);
    }
    return buffers[next];
  }

  /** Writes rows [row, row + count) as [pieces][count][depth]. */
  private static void fill(ShortBuffer target, MatrixRows rows, int row, int count) {
    // On all cores: pages that are not in memory yet come from the disk in several streams.
    int tasks = (count + ROWS_AT_ONCE - 1) / ROWS_AT_ONCE;
    IntStream.range(0, tasks)
        .parallel()
        .forEach(
            task -> {
              int first = task * ROWS_AT_ONCE;
              int end = Math.min(count, first + ROWS_AT_ONCE);
              fill(target, rows, row, count, first, end);
            });
  }

  private static void fill(
      ShortBuffer target, MatrixRows rows, int row, int count, int first, int end) {
    MatrixShape shape = rows.shape();
    short[] numbers = new short[shape.depth()];
    short[] rests = new short[shape.depth()];
    float[] floats = new float[shape.pieces() == 2 ? shape.depth() : 0];
    int plane = count * shape.depth();
    for (int i = first; i < end; i++) {
      WeightMatrix weight = rows.weight(row + i);
      int cols = weight == null ? 0 : weight.cols();
      if (weight != null && shape.pieces() == 1) {
        weight.tensor().readShorts(weight.element(rows.sourceRow(row + i)), numbers, 0, cols);
      } else if (weight != null) {
        weight.tensor().readFloats(weight.element(rows.sourceRow(row + i)), floats, 0, cols);
        split(floats, cols, numbers, rests);
      }
      Arrays.fill(numbers, cols, shape.depth(), (short) 0);
      Arrays.fill(rests, cols, shape.depth(), (short) 0);
      target.put(i * shape.depth(), numbers);
      if (shape.pieces() == 2) {
        target.put(plane + i * shape.depth(), rests);
      }
    }
  }

  private static void split(float[] values, int count, short[] numbers, short[] rests) {
    for (int i = 0; i < count; i++) {
      numbers[i] = BFloat16.fromFloat(values[i]);
      float rest = values[i] - BFloat16.toFloat(numbers[i]);
      // Of what is not finite there is no rest; it stays as it is.
      rests[i] = rest - rest == 0 ? BFloat16.fromFloat(rest) : 0;
    }
  }

  /** Waits until everything is on the device. */
  public void finish() {
    stream.synchronize();
  }

  /** Waits and gives the buffers back; the matrices stay. */
  @Override
  public void close() {
    Cleanup cleanup = new Cleanup();
    cleanup.run(this::finish);
    for (Buffer buffer : buffers) {
      if (buffer != null) {
        cleanup.run(buffer::close);
      }
    }
    cleanup.run(stream::close);
    cleanup.finish();
  }
}
