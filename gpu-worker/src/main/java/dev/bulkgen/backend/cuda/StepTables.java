package dev.bulkgen.backend.cuda;

import java.nio.ByteBuffer;

/**
 * The ints of a step that kernels look up (tokens, positions, slots ...): written side by side into
 * pinned memory, brought to the device with one copy. Tables put in the same order with the same
 * lengths have the same addresses every time, so that captured graphs find them.
 */
final class StepTables implements AutoCloseable {
  private static final int ALIGNED_INTS = 4;

  private final PinnedMemory host;
  private final DeviceMemory device;
  private int used; // ints

  StepTables(CudaContext context, int ints, String what) {
    host = context.allocatePinned(Math.multiplyExact(ints, Integer.BYTES), what);
    try {
      device = context.allocate((long) ints * Integer.BYTES, what);
    } catch (RuntimeException | Error e) {
      host.close();
      throw e;
    }
  }

  /** Ints that {@code tables} tables of together {@code ints} ints take. */
  static int room(int tables, int ints) {
    return ints + tables * ALIGNED_INTS;
  }

  /** Forgets all tables; what the device still reads must have been read. */
  void clear() {
    used = 0;
  }

  /** Adds a table and returns its address on the device. */
  long put(int... values) {
    ByteBuffer buffer = host.buffer();
    for (int i = 0; i < values.length; i++) {
      buffer.putInt((used + i) * Integer.BYTES, values[i]);
    }
    long address = device.address() + (long) used * Integer.BYTES;
    used += (values.length + ALIGNED_INTS - 1) / ALIGNED_INTS * ALIGNED_INTS;
    return address;
  }

  /** Brings all tables to the device. */
  void upload(CudaStream stream) {
    if (used > 0) {
      stream.upload(device, 0, host, 0, (long) used * Integer.BYTES);
    }
  }

  @Override
  public void close() {
    device.close();
    host.close();
  }
}
