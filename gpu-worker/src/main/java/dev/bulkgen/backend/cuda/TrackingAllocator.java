package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.LinkedHashMap;
import java.util.Map;

/** Knows what is out; at close what was not given back is an error. */
final class TrackingAllocator implements DeviceAllocator {
  private static final int MOST_NAMED = 20;

  private record Taken(String what, long bytes) {}

  private final DeviceAllocator inner;
  // By address: JCuda's pointers are equal where their numbers are.
  private final Map<DevicePointer, Taken> out = new LinkedHashMap<>();

  TrackingAllocator(DeviceAllocator inner) {
    this.inner = inner;
  }

  @Override
  public DevicePointer take(long bytes, String what) {
    DevicePointer pointer = inner.take(bytes, what);
    out.put(pointer, new Taken(what, bytes));
    return pointer;
  }

  @Override
  public void free(DeviceMemory memory, DevicePointer pointer) {
    if (out.remove(pointer) == null) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "%s is given back, but was never taken", memory.what());
    }
    inner.free(memory, pointer);
  }

  @Override
  public void close() {
    inner.close();
    if (out.isEmpty()) {
      return;
    }
    long bytes = 0;
    StringBuilder names = new StringBuilder();
    int named = 0;
    for (Taken taken : out.values()) {
      bytes += taken.bytes();
      if (named++ < MOST_NAMED) {
        names.append("\n  ").append(taken.what()).append(": ").append(taken.bytes());
      }
    }
    throw BulkgenException.of(
        ErrorCode.INTERNAL,
        "%d device allocations of %,d bytes were not given back:%s%s",
        out.size(),
        bytes,
        names,
        out.size() > MOST_NAMED ? "\n  ..." : "");
  }
}
