package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import jcuda.driver.CUevent;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;

/** A point in a stream's work that others can wait for. */
public final class CudaEvent extends CudaResource {
  private static final int WITH_TIMING = 0;

  final CUevent handle = new CUevent();

  CudaEvent(CudaContext context, String what) {
    super(context, what);
    CudaErrors.check(JCudaDriver.cuEventCreate(handle, WITH_TIMING), "cuEventCreate", what);
    opened();
  }

  /** Blocks until the work before the last record is done; at once if never recorded. */
  public void synchronize() {
    check();
    CudaErrors.check(JCudaDriver.cuEventSynchronize(handle), "cuEventSynchronize", what());
  }

  /**
   * True if the work before the last record is done.
   *
   * @throws BulkgenException if work has failed
   */
  public boolean isDone() {
    check();
    int code = JCudaDriver.cuEventQuery(handle);
    if (code == CUresult.CUDA_ERROR_NOT_READY) {
      return false;
    }
    CudaErrors.check(code, "cuEventQuery", what());
    return true;
  }

  /** Milliseconds on the device from {@code start} to this; both recorded and done. */
  public float millisSince(CudaEvent start) {
    check();
    float[] millis = new float[1];
    CudaErrors.check(
        JCudaDriver.cuEventElapsedTime(millis, start.handle, handle), "cuEventElapsedTime", what());
    return millis[0];
  }

  @Override
  void release() {
    CudaErrors.checkRelease(JCudaDriver.cuEventDestroy(handle), "cuEventDestroy", what());
  }
}
