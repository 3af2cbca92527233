package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;

/** Refuses what would take more than a limit at once. */
final class LimitedAllocator implements DeviceAllocator {
  private final DeviceAllocator inner;
  private final long limit;
  private long used;

  LimitedAllocator(DeviceAllocator inner, long limit) {
    this.inner = inner;
    this.limit = limit;
  }

  @Override
  public DevicePointer take(long bytes, String what) {
    if (bytes > limit - used) {
      throw BulkgenException.of(
          ErrorCode.DEVICE_OUT_OF_MEMORY,
          "%,d bytes for %s would go over the limit of %,d bytes of device memory, of which %,d are"
              + " used; raise the memory fraction",
          bytes,
          what,
          limit,
          used);
    }
    DevicePointer pointer = inner.take(bytes, what);
    used += bytes;
    return pointer;
  }

  @Override
  public void free(DeviceMemory memory, DevicePointer pointer) {
    used -= memory.bytes();
    inner.free(memory, pointer);
  }

  @Override
  public void close() {
    inner.close();
  }
}
