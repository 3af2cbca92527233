package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;

/** Gives out device memory; concerns stack as decorators. Not for more than one thread. */
public interface DeviceAllocator extends AutoCloseable {

  /**
   * @param bytes at least 1
   * @param what it will hold, for messages
   * @throws BulkgenException DEVICE_OUT_OF_MEMORY with the sizes
   */
  default DeviceMemory allocate(long bytes, String what) {
    return new DeviceMemory(this, take(bytes, what), bytes, what);
  }

  /** As {@link #allocate}, the bare pointer. */
  DevicePointer take(long bytes, String what);

  /** Gives back what {@link #take} gave; {@code memory} names it. */
  void free(DeviceMemory memory, DevicePointer pointer);

  /** Refuses what would take more than {@code bytes} at once. */
  default DeviceAllocator limited(long bytes) {
    return new LimitedAllocator(this, bytes);
  }

  /** An error at close names what was not given back. */
  default DeviceAllocator tracked() {
    return new TrackingAllocator(this);
  }

  /** Allocation number {@code failing}, counted from 1, fails as on a full device. */
  default DeviceAllocator failing(int failing) {
    return new FailingAllocator(this, failing);
  }

  @Override
  void close();
}
