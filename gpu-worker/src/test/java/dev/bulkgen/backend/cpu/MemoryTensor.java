package dev.bulkgen.backend.cpu;

import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import dev.bulkgen.tensor.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.ShortBuffer;

/** A weight outside the heap, as a mapped file has it, without the file. */
final class MemoryTensor implements Tensor {
  private final DType dtype;
  private final long[] shape;
  private final ShortBuffer shorts;
  private final FloatBuffer floats;

  /** An all-zero matrix of a type that {@link DType#isWeight()}. */
  MemoryTensor(DType dtype, int rows, int cols) {
    this.dtype = dtype;
    this.shape = new long[] {rows, cols};
    ByteBuffer bytes =
        ByteBuffer.allocateDirect(Math.multiplyExact(rows * cols, dtype.bytes()))
            .order(ByteOrder.nativeOrder());
    this.shorts = bytes.asShortBuffer();
    this.floats = bytes.asFloatBuffer();
  }

  /** Sets an element to {@code value}, rounded to the type. */
  void set(int element, float value) {
    switch (dtype) {
      case BF16 -> shorts.put(element, BFloat16.fromFloat(value));
      case F16 -> shorts.put(element, Float16.fromFloat(value));
      default -> floats.put(element, value);
    }
  }

  /** Sets the stored bits of a 16-bit element. */
  void setBits(int element, short bits) {
    shorts.put(element, bits);
  }

  @Override
  public String name() {
    return "memory";
  }

  @Override
  public DType dtype() {
    return dtype;
  }

  @Override
  public long[] shape() {
    return shape.clone();
  }

  @Override
  public void readShorts(long element, short[] target, int offset, int count) {
    shorts.get(Math.toIntExact(element), target, offset, count);
  }

  @Override
  public void readFloats(long element, float[] target, int offset, int count) {
    int first = Math.toIntExact(element);
    if (dtype == DType.F32) {
      floats.get(first, target, offset, count);
      return;
    }
    for (int i = 0; i < count; i++) {
      short bits = shorts.get(first + i);
      target[offset + i] = dtype == DType.BF16 ? BFloat16.toFloat(bits) : Float16.toFloatAny(bits);
    }
  }
}
