package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import jcuda.Pointer;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/** Host memory that stays in place, so that copies to and from the device run by themselves. */
public final class PinnedMemory extends CudaResource {
  private final Pointer pointer = new Pointer();
  private final ByteBuffer buffer; // null where no buffer is so large
  private final long bytes;

  PinnedMemory(CudaContext context, long bytes, String what) {
    super(context, what);
    if (bytes < 1) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "%d bytes of pinned memory for %s", bytes, what);
    }
    this.bytes = bytes;
    int code = JCudaDriver.cuMemHostAlloc(pointer, bytes, 0);
    if (code == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
      throw BulkgenException.of(
          ErrorCode.DEVICE_OUT_OF_MEMORY,
          "the host locks no %,d bytes of its memory for %s; leave it more free memory, and look at"
              + " the limits of locked memory (ulimit -l) and of the container",
          bytes,
          what);
    }
    CudaErrors.check(code, "cuMemHostAlloc", what);
    buffer =
        bytes > Integer.MAX_VALUE
            ? null
            : pointer.getByteBuffer(0, bytes).order(ByteOrder.nativeOrder());
    opened();
  }

  public long bytes() {
    return bytes;
  }

  /**
   * The bytes, in native order, of memory up to 2 GiB. The same object each time; not to be touched
   * after close, nor while a copy from or to them is under way.
   */
  public ByteBuffer buffer() {
    check();
    if (buffer == null) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "%s of %d bytes is no byte buffer", what(), bytes);
    }
    return buffer;
  }

  /** The first byte's address for kernels, which read and write it across the bus. */
  public long address() {
    check();
    DevicePointer mapped = new DevicePointer();
    CudaErrors.check(
        JCudaDriver.cuMemHostGetDevicePointer(mapped, pointer, 0),
        "cuMemHostGetDevicePointer",
        what());
    return mapped.address();
  }

  Pointer at(long offset, long length) {
    check();
    if (offset < 0 || length < 0 || offset > bytes - length) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "%d bytes from %d on leave %s of %d", length, offset, what(), bytes);
    }
    return offset == 0 ? pointer : pointer.withByteOffset(offset);
  }

  @Override
  void release() {
    CudaErrors.checkRelease(JCudaDriver.cuMemFreeHost(pointer), "cuMemFreeHost", what());
  }
}
