package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;

/** A range of device memory: an allocation of its own, or a view of a part of one. */
public final class DeviceMemory implements AutoCloseable {
  private final DeviceAllocator allocator; // null for a view
  private final DeviceMemory whole; // this for an allocation
  private final DevicePointer pointer;
  private final long bytes;
  private final String what;
  private boolean closed;

  DeviceMemory(DeviceAllocator allocator, DevicePointer pointer, long bytes, String what) {
    this.allocator = allocator;
    this.whole = this;
    this.pointer = pointer;
    this.bytes = bytes;
    this.what = what;
  }

  private DeviceMemory(DeviceMemory whole, DevicePointer pointer, long bytes, String what) {
    this.allocator = null;
    this.whole = whole;
    this.pointer = pointer;
    this.bytes = bytes;
    this.what = what;
  }

  /**
   * The device's number of the first byte.
   *
   * @throws BulkgenException INTERNAL after close
   */
  public long address() {
    return pointer().address();
  }

  public long bytes() {
    return bytes;
  }

  /** What it holds, for messages. */
  public String what() {
    return what;
  }

  /**
   * A view of {@code length} bytes from {@code offset} on; it lives as long as the allocation, and
   * closing it does nothing.
   */
  public DeviceMemory slice(long offset, long length, String name) {
    return new DeviceMemory(whole, at(offset, length), length, name);
  }

  DevicePointer pointer() {
    if (whole.closed) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "%s is used after its device memory was given back", what);
    }
    return pointer;
  }

  /** The pointer to byte {@code offset}, of which the caller uses {@code length} bytes. */
  DevicePointer at(long offset, long length) {
    if (offset < 0 || length < 0 || offset > bytes - length) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "%d bytes from %d on leave %s of %d bytes",
          length,
          offset,
          what,
          bytes);
    }
    return offset == 0 ? pointer() : pointer().plus(offset);
  }

  /** Gives the memory back; work on it must have ended. Again does nothing. */
  @Override
  public void close() {
    if (allocator != null && !closed) {
      closed = true;
      allocator.free(this, pointer);
    }
  }

  @Override
  public String toString() {
    return what + " [" + bytes + " bytes]";
  }
}
