package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.Assumptions;

/**
 * What a test can ask of the emulated device beyond a driver's calls: failures at a chosen moment,
 * a smaller memory, and counts of what is alive. The numbers are those of the device's {@code
 * control_calls.cpp}. Tests that use it skip on a card.
 */
public final class EmulatedControls implements AutoCloseable {
  private static final int MEMORY_BYTES = 0x1000;
  private static final int FAIL_ALLOCATION = 0x1001;
  private static final int FAIL_HOST_ALLOCATION = 0x1002;
  private static final int FAIL_LAUNCH = 0x1003;
  private static final int SEED = 0x1004;
  private static final int CAPABILITY = 0x1006;
  private static final int USUAL_SHARED_BYTES = 227 << 10;
  private static final int SHARED_BYTES = 0x1007;
  private static final int QUIET = 0x100a;
  private static final int DEVICES = 0x100b;
  private static final int LIVE_ALLOCATIONS = 0x1100;
  private static final int LIVE_BYTES = 0x1101;
  private static final int LIVE_HOST_ALLOCATIONS = 0x1102;
  private static final int LIVE_HANDLES = 0x1103;
  private static final int LAUNCHES = 0x1104;
  private static final int LIVE_HOST_BYTES = 0x1105;
  private static final long USUAL_SEED = 1;

  private final long memoryBytes;
  private final int usualCapability;

  private EmulatedControls() {
    usualCapability = CudaDevice.of(0).capability();
    memoryBytes = read(MEMORY_BYTES);
  }

  /** Skips the test where there is no emulated device; {@link #close} undoes what was set. */
  public static EmulatedControls open() {
    EmulatedDevice.assumePresent();
    Assumptions.assumeFalse(EmulatedDevice.isReal(), "a card does not fail on demand");
    return new EmulatedControls();
  }

  /** All memory of the device. */
  public void memoryBytes(long bytes) {
    set(MEMORY_BYTES, bytes);
  }

  /** The n-th allocation from now on fails as on a full device; 0: none. */
  public void failAllocation(int n) {
    set(FAIL_ALLOCATION, n);
  }

  /** The n-th allocation of pinned memory from now on fails; 0: none. */
  public void failHostAllocation(int n) {
    set(FAIL_HOST_ALLOCATION, n);
  }

  /** The n-th kernel that runs from now on fails and with it its context; 0: none. */
  public void failLaunch(int n) {
    set(FAIL_LAUNCH, n);
  }

  /** Chooses the order of work that nothing orders; 0: the order in which it was given. */
  public void seed(long seed) {
    set(SEED, seed);
  }

  /** Compute capability, as {@code 10 · major + minor}, of contexts that are opened from now on. */
  public void capability(int capability) {
    set(CAPABILITY, capability);
  }

  /** Shared memory that a block may ask for, in bytes, whatever contexts were told before. */
  public void sharedBytes(int bytes) {
    set(SHARED_BYTES, bytes);
  }

  /** How many devices the driver finds; 1 otherwise. */
  public void devices(int count) {
    set(DEVICES, count);
  }

  /** Failures are not told on stderr: for tests that provoke many. */
  public void quiet() {
    set(QUIET, 1);
  }

  /** Bytes of all allocations on the device that are alive. */
  public long aliveBytes() {
    return read(LIVE_BYTES);
  }

  /** Bytes of all pinned memory of the host that is alive. */
  public long alivePinnedBytes() {
    return read(LIVE_HOST_BYTES);
  }

  /** Kernels that have run in this process. */
  public long launches() {
    return read(LAUNCHES);
  }

  /** Allocations, pinned ones among them, modules, streams, events and graphs that are alive. */
  public long alive() {
    return read(LIVE_ALLOCATIONS) + read(LIVE_HOST_ALLOCATIONS) + read(LIVE_HANDLES);
  }

  @Override
  public void close() {
    memoryBytes(memoryBytes);
    failAllocation(0);
    failHostAllocation(0);
    failLaunch(0);
    seed(USUAL_SEED);
    capability(usualCapability);
    sharedBytes(USUAL_SHARED_BYTES);
    set(QUIET, 0);
    devices(1);
  }

  private static void set(int control, long value) {
    assertEquals(CUresult.CUDA_SUCCESS, JCudaDriver.cuCtxSetLimit(control, value));
  }

  private static long read(int control) {
    long[] value = new long[1];
    assertEquals(CUresult.CUDA_SUCCESS, JCudaDriver.cuCtxGetLimit(value, control));
    return value[0];
  }
}
