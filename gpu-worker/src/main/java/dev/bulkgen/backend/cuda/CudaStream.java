package dev.bulkgen.backend.cuda;

import jcuda.driver.CUgraph;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.CUstreamCaptureMode;
import jcuda.driver.CUstream_flags;
import jcuda.driver.JCudaDriver;

/**
 * Work in order. Nothing orders it with other streams but events. All calls return at once but
 * {@link #synchronize}; failures of work show at a later call.
 */
public final class CudaStream extends CudaResource {
  final CUstream handle = new CUstream();

  CudaStream(CudaContext context, String what) {
    super(context, what);
    CudaErrors.check(
        JCudaDriver.cuStreamCreate(handle, CUstream_flags.CU_STREAM_NON_BLOCKING),
        "cuStreamCreate",
        what);
    opened();
  }

  /** Copies {@code bytes} to the device; {@code source} must stay as it is until that is done. */
  public void upload(
      DeviceMemory target, long targetOffset, PinnedMemory source, long sourceOffset, long bytes) {
    check();
    CudaErrors.check(
        JCudaDriver.cuMemcpyHtoDAsync(
            target.at(targetOffset, bytes), source.at(sourceOffset, bytes), bytes, handle),
        "cuMemcpyHtoDAsync",
        target.what());
  }

  /** Copies {@code bytes} to the host; {@code target} is valid once that is done. */
  public void download(
      PinnedMemory target, long targetOffset, DeviceMemory source, long sourceOffset, long bytes) {
    check();
    CudaErrors.check(
        JCudaDriver.cuMemcpyDtoHAsync(
            target.at(targetOffset, bytes), source.at(sourceOffset, bytes), bytes, handle),
        "cuMemcpyDtoHAsync",
        source.what());
  }

  /** Copies within the device; the ranges must not overlap. */
  public void copy(
      DeviceMemory target, long targetOffset, DeviceMemory source, long sourceOffset, long bytes) {
    check();
    CudaErrors.check(
        JCudaDriver.cuMemcpyDtoDAsync(
            target.at(targetOffset, bytes), source.at(sourceOffset, bytes), bytes, handle),
        "cuMemcpyDtoDAsync",
        target.what());
  }

  /** Sets every byte of {@code target}. */
  public void fill(DeviceMemory target, byte value) {
    check();
    CudaErrors.check(
        JCudaDriver.cuMemsetD8Async(target.pointer(), value, target.bytes(), handle),
        "cuMemsetD8Async",
        target.what());
  }

  /** Sets every 32-bit number of {@code target}, whose size is a multiple of 4. */
  public void fillInts(DeviceMemory target, int value) {
    check();
    long count = target.bytes() / Integer.BYTES;
    CudaErrors.check(
        JCudaDriver.cuMemsetD32Async(target.at(0, count * Integer.BYTES), value, count, handle),
        "cuMemsetD32Async",
        target.what());
  }

  /** Blocks until all work given so far is done; a failure of it shows here. */
  public void synchronize() {
    check();
    CudaErrors.check(JCudaDriver.cuStreamSynchronize(handle), "cuStreamSynchronize", what());
  }

  /** True if all work given so far is done. */
  public boolean isDone() {
    check();
    int code = JCudaDriver.cuStreamQuery(handle);
    if (code == CUresult.CUDA_ERROR_NOT_READY) {
      return false;
    }
    CudaErrors.check(code, "cuStreamQuery", what());
    return true;
  }

  /** Sets {@code event} to the end of the work given so far. */
  public void record(CudaEvent event) {
    check();
    CudaErrors.check(JCudaDriver.cuEventRecord(event.handle, handle), "cuEventRecord", what());
  }

  /** Work given from now on starts only after {@code event}; the caller does not wait. */
  public void await(CudaEvent event) {
    check();
    CudaErrors.check(
        JCudaDriver.cuStreamWaitEvent(handle, event.handle, 0), "cuStreamWaitEvent", what());
  }

  /**
   * Records what {@code work} gives to this stream, and by events to others, without running it.
   * Arguments are taken as they are now; memory is read and written when the graph runs.
   *
   * @param name of the graph, for messages
   */
  public CudaGraph capture(String name, Runnable work) {
    check();
    CudaErrors.check(
        JCudaDriver.cuStreamBeginCapture(
            handle, CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
        "cuStreamBeginCapture",
        name);
    CUgraph graph = new CUgraph();
    try {
      work.run();
    } catch (RuntimeException | Error e) {
      // Ends the capture, so that the stream works again; what was recorded is dropped.
      if (JCudaDriver.cuStreamEndCapture(handle, graph) == CUresult.CUDA_SUCCESS) {
        JCudaDriver.cuGraphDestroy(graph);
      }
      throw e;
    }
    CudaErrors.check(JCudaDriver.cuStreamEndCapture(handle, graph), "cuStreamEndCapture", name);
    return new CudaGraph(context(), graph, name);
  }

  @Override
  void release() {
    CudaErrors.checkRelease(JCudaDriver.cuStreamDestroy(handle), "cuStreamDestroy", what());
  }
}
