package dev.bulkgen.tensor;

import java.util.Arrays;

/**
 * A named, read-only tensor whose bytes stay where they are (a mapped file). Elements are
 * row-major; reads copy a run of elements into an array of the caller's, widened exactly where
 * asked.
 */
public interface Tensor {
  String name();

  DType dtype();

  /** Extents, outermost first. */
  long[] shape();

  default long elementCount() {
    return Arrays.stream(shape()).reduce(1, Math::multiplyExact);
  }

  /**
   * Copies {@code count} raw 16-bit elements (BF16, F16) from {@code element} on.
   *
   * @throws IndexOutOfBoundsException if the run leaves the tensor
   */
  void readShorts(long element, short[] target, int offset, int count);

  /** Copies {@code count} elements of BF16, F16 or F32, widened exactly to float. */
  void readFloats(long element, float[] target, int offset, int count);

  /** The whole of a small tensor (norm weights, biases) as floats. */
  default float[] toFloats() {
    float[] all = new float[Math.toIntExact(elementCount())];
    readFloats(0, all, 0, all.length);
    return all;
  }
}
