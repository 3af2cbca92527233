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
  private final ByteBuffer buffer;
  private final int bytes;

  PinnedMemory(CudaContext context, int bytes, String what) {
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
    buffer = pointer.getByteBuffer(0, bytes).order(ByteOrder.nativeOrder());
    opened();
  }

  public int bytes() {
    return bytes;
  }

  /**
   * The bytes, in native order. The same object each time; not to be touched after close, nor while
   * a copy from or to them is under way.
   */
  public ByteBuffer buffer() {
    check();
    return buffer;
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
