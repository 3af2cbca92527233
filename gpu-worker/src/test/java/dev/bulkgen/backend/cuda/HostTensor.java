package dev.bulkgen.backend.cuda;

import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import dev.bulkgen.tensor.Tensor;

/** A weight [rows, cols] in arrays, rounded to its type. */
final class HostTensor implements Tensor {
  private final String name;
  private final DType dtype;
  private final long[] shape;
  private final short[] bits; // of 16-bit types
  private final float[] values;

  HostTensor(String name, DType dtype, int rows, int cols, float... values) {
    this.name = name;
    this.dtype = dtype;
    this.shape = new long[] {rows, cols};
    this.values = new float[rows * cols];
    this.bits = new short[rows * cols];
    for (int i = 0; i < values.length; i++) {
      switch (dtype) {
        case BF16 -> bits[i] = BFloat16.fromFloat(values[i]);
        case F16 -> bits[i] = Float16.fromFloat(values[i]);
        default -> this.values[i] = values[i];
      }
      if (dtype == DType.BF16) {
        this.values[i] = BFloat16.toFloat(bits[i]);
      } else if (dtype == DType.F16) {
        this.values[i] = Float16.toFloat(bits[i]);
      }
    }
  }

  @Override
  public String name() {
    return name;
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
    if (dtype == DType.F32) {
      throw new IllegalArgumentException(name + " is F32");
    }
    System.arraycopy(bits, Math.toIntExact(element), target, offset, count);
  }

  @Override
  public void readFloats(long element, float[] target, int offset, int count) {
    System.arraycopy(values, Math.toIntExact(element), target, offset, count);
  }
}
