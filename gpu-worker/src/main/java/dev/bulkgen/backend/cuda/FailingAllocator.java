package dev.bulkgen.backend.cuda;

/** Fails one allocation as a full device would: to test what happens then. */
final class FailingAllocator implements DeviceAllocator {
  private final DeviceAllocator inner;
  private final int failing;
  private int count;

  FailingAllocator(DeviceAllocator inner, int failing) {
    this.inner = inner;
    this.failing = failing;
  }

  @Override
  public DevicePointer take(long bytes, String what) {
    count++;
    if (count == failing) {
      throw CudaErrors.outOfMemory(what, bytes, 0, 0);
    }
    return inner.take(bytes, what);
  }

  @Override
  public void free(DeviceMemory memory, DevicePointer pointer) {
    inner.free(memory, pointer);
  }

  @Override
  public void close() {
    inner.close();
  }
}
