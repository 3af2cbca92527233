package dev.bulkgen.tensor;

import java.util.Arrays;
import java.util.Objects;

/**
 * A tensor whose elements stay in a {@link MappedFile}. Reads allocate nothing and may come from
 * any number of threads.
 */
public final class MappedTensor implements Tensor {
  // 16-bit elements are widened through a run this long: it stays in the first-level cache.
  private static final int WIDENED_AT_ONCE = 4096;

  private static final ThreadLocal<short[]> RAW =
      ThreadLocal.withInitial(() -> new short[WIDENED_AT_ONCE]);

  private static final int HALF_MAGNITUDE = 0x7fff;
  private static final int HALF_INFINITY = 0x7c00;

  private final MappedFile file;
  private final String name;
  private final DType dtype;
  private final long[] shape;
  private final long offset;
  private final long elementCount;

  /**
   * @param offset of the first element in the file, in bytes
   * @throws IllegalArgumentException if the tensor leaves the file
   */
  public MappedTensor(MappedFile file, String name, DType dtype, long[] shape, long offset) {
    this.file = Objects.requireNonNull(file);
    this.name = Objects.requireNonNull(name);
    this.dtype = Objects.requireNonNull(dtype);
    this.shape = shape.clone();
    this.offset = offset;
    this.elementCount = Arrays.stream(shape).reduce(1, Math::multiplyExact);
    long bytes = Math.multiplyExact(elementCount, (long) dtype.bytes());
    if (elementCount < 0 || offset < 0 || bytes > file.size() - offset) {
      throw new IllegalArgumentException(
          name + ": " + bytes + " bytes at " + offset + " leave " + file.path());
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
  public long elementCount() {
    return elementCount;
  }

  /** The file that holds the elements. */
  public MappedFile file() {
    return file;
  }

  /** Offset of the first element in the file, in bytes. */
  public long offset() {
    return offset;
  }

  @Override
  public void readShorts(long element, short[] target, int start, int count) {
    requireType(dtype.bytes() == Short.BYTES, "16-bit");
    checkRun(element, count);
    file.readShorts(offset + element * Short.BYTES, target, start, count);
  }

  @Override
  public void readFloats(long element, float[] target, int start, int count) {
    requireType(dtype.isWeight(), "BF16, F16 or F32");
    checkRun(element, count);
    if (dtype == DType.F32) {
      file.readFloats(offset + element * Float.BYTES, target, start, count);
      return;
    }
    Objects.checkFromIndexSize(start, count, target.length);
    short[] raw = RAW.get();
    for (int done = 0; done < count; done += WIDENED_AT_ONCE) {
      int run = Math.min(WIDENED_AT_ONCE, count - done);
      file.readShorts(offset + (element + done) * Short.BYTES, raw, 0, run);
      if (dtype == DType.BF16) {
        widenBFloat16(raw, target, start + done, run);
      } else {
        widenFloat16(raw, target, start + done, run);
      }
    }
  }

  /** Copies {@code count} I32 or U32 elements from {@code element} on. */
  public void readInts(long element, int[] target, int start, int count) {
    requireType(dtype == DType.I32 || dtype == DType.U32, "I32 or U32");
    checkRun(element, count);
    file.readInts(offset + element * Integer.BYTES, target, start, count);
  }

  /** Copies {@code count} I8, U8 or BOOL elements from {@code element} on. */
  public void readBytes(long element, byte[] target, int start, int count) {
    requireType(dtype.bytes() == Byte.BYTES, "one-byte");
    checkRun(element, count);
    file.readBytes(offset + element, target, start, count);
  }

  @Override
  public String toString() {
    return name + " " + dtype + Arrays.toString(shape);
  }

  private static void widenBFloat16(short[] raw, float[] target, int start, int count) {
    for (int i = 0; i < count; i++) {
      target[start + i] = BFloat16.toFloat(raw[i]);
    }
  }

  private static void widenFloat16(short[] raw, float[] target, int start, int count) {
    if (allFinite(raw, count)) {
      for (int i = 0; i < count; i++) {
        target[start + i] = Float16.toFloat(raw[i]);
      }
    } else {
      for (int i = 0; i < count; i++) {
        target[start + i] = Float16.toFloatAny(raw[i]);
      }
    }
  }

  private static boolean allFinite(short[] raw, int count) {
    int largest = 0;
    for (int i = 0; i < count; i++) {
      largest = Math.max(largest, raw[i] & HALF_MAGNITUDE);
    }
    return largest < HALF_INFINITY;
  }

  private void requireType(boolean holds, String wanted) {
    if (!holds) {
      throw new IllegalArgumentException(name + " is " + dtype + ", not " + wanted);
    }
  }

  private void checkRun(long element, int count) {
    if (element < 0 || count < 0 || element > elementCount || count > elementCount - element) {
      throw new IndexOutOfBoundsException(
          name + ": " + count + " elements from " + element + " of " + elementCount);
    }
  }
}
