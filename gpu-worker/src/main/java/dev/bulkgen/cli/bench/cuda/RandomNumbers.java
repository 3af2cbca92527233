package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.backend.cuda.CudaContext;
import dev.bulkgen.backend.cuda.CudaStream;
import dev.bulkgen.backend.cuda.DeviceArrays;
import dev.bulkgen.backend.cuda.DeviceMemory;
import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * A block of random numbers, repeated as often as needed: gigabytes cost a few copies on the
 * device, and the host knows every number by its index.
 */
final class RandomNumbers {
  // A prime, so that no row, head or tile of a power of two meets its own numbers again.
  private static final int COUNT = 1_048_583;

  private final DType type;
  private final float[] values = new float[COUNT];
  private final short[] bits; // of 16-bit numbers, else null

  /** Uniform in [−{@code magnitude}, {@code magnitude}), rounded to {@code type}. */
  RandomNumbers(DType type, float magnitude, long seed) {
    this.type = type;
    SplittableRandom random = new SplittableRandom(seed);
    bits = type == DType.F32 ? null : new short[COUNT];
    for (int i = 0; i < COUNT; i++) {
      values[i] = (float) (magnitude * (2 * random.nextDouble() - 1));
      if (bits != null) {
        round(i);
      }
    }
  }

  private void round(int i) {
    boolean isBfloat = type == DType.BF16;
    bits[i] = isBfloat ? BFloat16.fromFloat(values[i]) : Float16.fromFloat(values[i]);
    values[i] = isBfloat ? BFloat16.toFloat(bits[i]) : Float16.toFloat(bits[i]);
  }

  DType type() {
    return type;
  }

  /** The number at {@code index} of whatever was filled. */
  float at(long index) {
    return values[(int) (index % COUNT)];
  }

  /** Device memory with the first {@code count} numbers of the repeated block. */
  DeviceMemory onDevice(CudaContext context, CudaStream stream, long count, String what) {
    DeviceMemory memory = context.allocate(count * type.bytes(), what);
    try {
      int first = (int) Math.min(count, COUNT);
      write(new DeviceArrays(context), memory, first);
      for (long filled = first; filled < count; ) {
        long next = Math.min(filled, count - filled);
        stream.copy(memory, filled * type.bytes(), memory, 0, next * type.bytes());
        filled += next;
      }
      stream.synchronize();
      return memory;
    } catch (RuntimeException | Error e) {
      memory.close();
      throw e;
    }
  }

  private void write(DeviceArrays arrays, DeviceMemory memory, int count) {
    if (bits == null) {
      arrays.write(memory, Arrays.copyOf(values, count));
    } else {
      arrays.write(memory, Arrays.copyOf(bits, count));
    }
  }

  /** Copies 16-bit numbers from {@code index} on. */
  void read(long index, short[] target, int offset, int count) {
    int source = (int) (index % COUNT);
    for (int copied = 0; copied < count; ) {
      int run = Math.min(count - copied, COUNT - source);
      System.arraycopy(bits, source, target, offset + copied, run);
      copied += run;
      source = 0;
    }
  }
}
