package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.Catalogue;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.function.UnaryOperator;
import jcuda.driver.CUcontext;
import jcuda.driver.JCudaDriver;

/**
 * A device in use: its context, memory, streams and kernels. Belongs to one thread, the one that
 * opened it or last called {@link #attach}; calls from another are refused.
 *
 * <p>The device's primary context is used, which cuBLAS would take as well.
 */
public final class CudaContext implements AutoCloseable {
  // The driver's calls go to the thread's current context; one thread may have several of ours.
  private static final ThreadLocal<CudaContext> CURRENT = new ThreadLocal<>();

  // Of Ampere, the first cards with the copies and the bfloat16 products that the kernels use.
  private static final int LEAST_CAPABILITY = 80;

  private final CudaDevice device;
  private final CUcontext context;
  private final Set<CudaResource> open = new LinkedHashSet<>();
  private final DeviceAllocator allocator;
  private final KernelLibrary kernels;
  private Thread owner = Thread.currentThread();
  private boolean closed;

  private CudaContext(int ordinal, UnaryOperator<DeviceAllocator> memory) {
    device = CudaDevice.of(ordinal);
    if (device.capability() < LEAST_CAPABILITY) {
      throw BulkgenException.of(
          ErrorCode.DEVICE_UNAVAILABLE,
          "%s has compute capability %d.%d, the kernels need %d.%d; use --backend cpu",
          device.name(),
          device.capability() / 10,
          device.capability() % 10,
          LEAST_CAPABILITY / 10,
          LEAST_CAPABILITY % 10);
    }
    context = new CUcontext();
    CudaErrors.check(
        JCudaDriver.cuDevicePrimaryCtxRetain(context, CudaDevice.handle(ordinal)),
        "cuDevicePrimaryCtxRetain",
        device.name());
    Deque<Runnable> opened = new ArrayDeque<>();
    opened.push(this::releaseContext);
    try {
      check();
      kernels = KernelLibrary.load(this, Catalogue.load(), ModuleImages.ofDriver());
      opened.push(kernels::close);
      DriverAllocator driver = DriverAllocator.of(this);
      opened.push(driver::close);
      allocator = memory.apply(driver).tracked();
    } catch (RuntimeException | Error e) {
      Cleanup cleanup = new Cleanup();
      opened.forEach(cleanup::run);
      cleanup.addTo(e);
      throw e;
    }
  }

  /**
   * Opens device {@code ordinal} for the calling thread.
   *
   * @throws BulkgenException DEVICE_UNAVAILABLE where there is no driver, no such device, or no
   *     kernels that run on it
   */
  public static CudaContext open(int ordinal) {
    return open(ordinal, UnaryOperator.identity());
  }

  /** As above; {@code memory} decorates the allocator, which is tracked in any case. */
  public static CudaContext open(int ordinal, UnaryOperator<DeviceAllocator> memory) {
    return new CudaContext(ordinal, memory);
  }

  /**
   * Bytes of device {@code ordinal} that are free now; opens and closes its context.
   *
   * @throws BulkgenException DEVICE_UNAVAILABLE where there is no driver or no such device
   */
  public static long freeBytes(int ordinal) {
    try (CudaContext context = open(ordinal)) {
      return context.freeBytes();
    }
  }

  public CudaDevice device() {
    return device;
  }

  public KernelLibrary kernels() {
    return kernels;
  }

  /**
   * Memory of the device, uninitialized.
   *
   * @param what it will hold, for messages
   * @throws BulkgenException DEVICE_OUT_OF_MEMORY with the sizes
   */
  public DeviceMemory allocate(long bytes, String what) {
    return allocator.allocate(bytes, what);
  }

  /**
   * Memory of the host that the device copies from and to without help, uninitialized.
   *
   * @throws BulkgenException DEVICE_OUT_OF_MEMORY where the host does not lock so much
   */
  public PinnedMemory allocatePinned(long bytes, String what) {
    check();
    return new PinnedMemory(this, bytes, what);
  }

  public CudaStream newStream(String what) {
    check();
    return new CudaStream(this, what);
  }

  public CudaEvent newEvent(String what) {
    check();
    return new CudaEvent(this, what);
  }

  /** Waits for all work of the device; a failure of earlier work shows here. */
  public void synchronize() {
    check();
    CudaErrors.check(JCudaDriver.cuCtxSynchronize(), "cuCtxSynchronize");
  }

  /** Free bytes of the device now, other programs' use taken off. */
  public long freeBytes() {
    check();
    long[] free = new long[1];
    long[] total = new long[1];
    CudaErrors.check(JCudaDriver.cuMemGetInfo(free, total), "cuMemGetInfo");
    return free[0];
  }

  /**
   * Waits until no work is left, whatever became of it: nothing uses what is given back afterwards.
   */
  void settle() {
    check();
    CudaErrors.checkRelease(JCudaDriver.cuCtxSynchronize(), "cuCtxSynchronize", "all work");
  }

  /**
   * Leaves the calling thread without a context, as one that only opens it for another thread to
   * {@link #attach}.
   */
  void detach() {
    check();
    leaveThread();
    owner = null;
  }

  private static void leaveThread() {
    CURRENT.remove();
    // Left current, a context that is gone would be found by whoever uses this thread next.
    int code = JCudaDriver.cuCtxSetCurrent(new CUcontext());
    CudaErrors.checkRelease(code, "cuCtxSetCurrent", "no context");
  }

  /** Makes the calling thread the owner; the former one must be done with the context. */
  public void attach() {
    owner = Thread.currentThread();
    check();
  }

  /** Refuses calls from a thread that is not the owner, and makes the context current. */
  void check() {
    if (Thread.currentThread() != owner || closed) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "the context of device %d %s",
          device.ordinal(),
          closed
              ? "is closed"
              : "belongs to "
                  + (owner == null ? "no thread" : "the thread " + owner.getName())
                  + "; attach it to this one first");
    }
    if (CURRENT.get() != this) {
      CudaErrors.check(JCudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
      CURRENT.set(this);
    }
  }

  void opened(CudaResource resource) {
    open.add(resource);
  }

  void closed(CudaResource resource) {
    open.remove(resource);
  }

  /**
   * Gives everything back, whatever goes wrong on the way; the first problem is thrown and holds
   * the others.
   *
   * @throws BulkgenException INTERNAL naming what nobody had closed
   */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    check();
    Cleanup cleanup = new Cleanup();
    cleanup.run(this::reportOpen);
    cleanup.run(kernels::close);
    cleanup.run(allocator::close);
    closed = true;
    cleanup.run(this::releaseContext);
    cleanup.finish();
  }

  private void reportOpen() {
    if (!open.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "device %d: not closed: %s", device.ordinal(), open);
    }
  }

  private void releaseContext() {
    leaveThread();
    CudaErrors.checkRelease(
        JCudaDriver.cuDevicePrimaryCtxRelease(CudaDevice.handle(device.ordinal())),
        "cuDevicePrimaryCtxRelease",
        device.name());
  }
}
