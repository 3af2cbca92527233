package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import jcuda.Pointer;
import jcuda.driver.JCudaDriver;

/**
 * Small arrays to and from the device while nothing else runs: each call waits for the device
 * before and after. For set-up and tests; steps use streams and pinned memory.
 */
public final class DeviceArrays {
  private final CudaContext context;

  public DeviceArrays(CudaContext context) {
    this.context = context;
  }

  /** New memory that holds {@code values}. */
  public DeviceMemory upload(String what, float... values) {
    return filled(what, Pointer.to(values), (long) values.length * Float.BYTES);
  }

  public DeviceMemory upload(String what, int... values) {
    return filled(what, Pointer.to(values), (long) values.length * Integer.BYTES);
  }

  public DeviceMemory upload(String what, short... values) {
    return filled(what, Pointer.to(values), (long) values.length * Short.BYTES);
  }

  public DeviceMemory upload(String what, byte... values) {
    return filled(what, Pointer.to(values), values.length);
  }

  /** Overwrites the start of {@code target}. */
  public void write(DeviceMemory target, float... values) {
    write(target, Pointer.to(values), (long) values.length * Float.BYTES);
  }

  public void write(DeviceMemory target, int... values) {
    write(target, Pointer.to(values), (long) values.length * Integer.BYTES);
  }

  public void write(DeviceMemory target, short... values) {
    write(target, Pointer.to(values), (long) values.length * Short.BYTES);
  }

  public void write(DeviceMemory target, byte... values) {
    write(target, Pointer.to(values), values.length);
  }

  /** All of {@code source}. */
  public float[] floats(DeviceMemory source) {
    float[] values = new float[count(source, Float.BYTES)];
    read(source, Pointer.to(values));
    return values;
  }

  public int[] ints(DeviceMemory source) {
    int[] values = new int[count(source, Integer.BYTES)];
    read(source, Pointer.to(values));
    return values;
  }

  public short[] shorts(DeviceMemory source) {
    short[] values = new short[count(source, Short.BYTES)];
    read(source, Pointer.to(values));
    return values;
  }

  public byte[] bytes(DeviceMemory source) {
    byte[] values = new byte[count(source, Byte.BYTES)];
    read(source, Pointer.to(values));
    return values;
  }

  private DeviceMemory filled(String what, Pointer values, long bytes) {
    DeviceMemory memory = context.allocate(bytes, what);
    try {
      write(memory, values, bytes);
    } catch (RuntimeException | Error e) {
      memory.close();
      throw e;
    }
    return memory;
  }

  private void write(DeviceMemory target, Pointer values, long bytes) {
    context.synchronize();
    CudaErrors.check(
        JCudaDriver.cuMemcpyHtoD(target.at(0, bytes), values, bytes),
        "cuMemcpyHtoD",
        target.what());
    context.synchronize();
  }

  private void read(DeviceMemory source, Pointer values) {
    context.synchronize();
    CudaErrors.check(
        JCudaDriver.cuMemcpyDtoH(values, source.pointer(), source.bytes()),
        "cuMemcpyDtoH",
        source.what());
  }

  private static int count(DeviceMemory source, int width) {
    long count = source.bytes() / width;
    if (count > Integer.MAX_VALUE || source.bytes() % width != 0) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "%s is no array of %d-byte numbers", source, width);
    }
    return (int) count;
  }
}
