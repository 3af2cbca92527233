package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/**
 * Takes memory from the driver: from its pool where it has one, which does not stop the device as
 * plain frees do. Memory is there for all streams when {@link #take} returns.
 *
 * <p>The pool keeps the driver's release threshold: the binding has no call to raise it.
 */
final class DriverAllocator implements DeviceAllocator {
  private final CudaContext context;
  private final CUstream stream; // null: no pool

  private DriverAllocator(CudaContext context, CUstream stream) {
    this.context = context;
    this.stream = stream;
  }

  static DriverAllocator of(CudaContext context) {
    return context.device().hasMemoryPools() ? pooled(context) : plain(context);
  }

  static DriverAllocator plain(CudaContext context) {
    return new DriverAllocator(context, null);
  }

  static DriverAllocator pooled(CudaContext context) {
    CUstream stream = new CUstream();
    CudaErrors.check(
        JCudaDriver.cuStreamCreate(stream, CUstream_flags.CU_STREAM_NON_BLOCKING),
        "cuStreamCreate",
        "allocations");
    return new DriverAllocator(context, stream);
  }

  @Override
  public DevicePointer take(long bytes, String what) {
    context.check();
    if (bytes < 1) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "%d bytes of device memory for %s", bytes, what);
    }
    DevicePointer pointer = new DevicePointer();
    if (stream == null) {
      check(JCudaDriver.cuMemAlloc(pointer, bytes), "cuMemAlloc", bytes, what);
    } else {
      check(JCudaDriver.cuMemAllocAsync(pointer, bytes, stream), "cuMemAllocAsync", bytes, what);
      check(JCudaDriver.cuStreamSynchronize(stream), "cuStreamSynchronize", bytes, what);
    }
    return pointer;
  }

  private static void check(int code, String call, long bytes, String what) {
    if (code == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
      long[] free = new long[1];
      long[] total = new long[1];
      CudaErrors.check(JCudaDriver.cuMemGetInfo(free, total), "cuMemGetInfo");
      throw CudaErrors.outOfMemory(what, bytes, free[0], total[0]);
    }
    CudaErrors.check(code, call, what);
  }

  @Override
  public void free(DeviceMemory memory, DevicePointer pointer) {
    context.check();
    if (stream == null) {
      CudaErrors.checkRelease(JCudaDriver.cuMemFree(pointer), "cuMemFree", memory.what());
    } else {
      CudaErrors.checkRelease(
          JCudaDriver.cuMemFreeAsync(pointer, stream), "cuMemFreeAsync", memory.what());
    }
  }

  @Override
  public void close() {
    if (stream != null) {
      CudaErrors.checkRelease(
          JCudaDriver.cuStreamSynchronize(stream), "cuStreamSynchronize", "allocations");
      CudaErrors.checkRelease(
          JCudaDriver.cuStreamDestroy(stream), "cuStreamDestroy", "allocations");
    }
  }
}
