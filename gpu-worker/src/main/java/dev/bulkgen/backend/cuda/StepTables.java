package dev.bulkgen.backend.cuda;

import java.nio.ByteBuffer;

/**
 * The ints of a step that kernels look up (tokens, positions, slots ...): written side by side into
 * pinned memory, brought to the device with one copy. Tables put in the same order with the same
 * lengths have the same addresses every time, so that captured graphs find them. The host has two
 * buffers in turn, so that a step's tables are written while those of the step before still wait to
 * be read.
 */
final class StepTables implements AutoCloseable {
  private static final int ALIGNED_INTS = 4;
  private static final int BUFFERS = 2;

  private final OwnedMemory memory;
  private final UploadBuffers buffers;
  private final DeviceMemory device;
  private int used; // ints

  StepTables(CudaContext context, int ints, String what) {
    memory = new OwnedMemory(context);
    try {
      buffers = new UploadBuffers(memory, BUFFERS, (long) ints * Integer.BYTES, what);
      device = memory.device((long) ints * Integer.BYTES, what);
    } catch (RuntimeException | Error e) {
      memory.close();
      throw e;
    }
  }

  /** Ints that {@code tables} tables of together {@code ints} ints take. */
  static int room(int tables, int ints) {
    return ints + tables * ALIGNED_INTS;
  }

  /** Begins new tables; waits for the device only if it has not read those before the last. */
  void clear() {
    buffers.next();
    used = 0;
  }

  /** Adds a table and returns its address on the device. */
  long put(int... values) {
    ByteBuffer buffer = buffers.current().buffer();
    for (int i = 0; i < values.length; i++) {
      buffer.putInt((used + i) * Integer.BYTES, values[i]);
    }
    long address = device.address() + (long) used * Integer.BYTES;
    used += (values.length + ALIGNED_INTS - 1) / ALIGNED_INTS * ALIGNED_INTS;
    return address;
  }

  /** Brings all tables to the device, without waiting. */
  void upload(CudaStream stream) {
    if (used > 0) {
      stream.upload(device, 0, buffers.current(), 0, (long) used * Integer.BYTES);
      buffers.sent(stream);
    }
  }

  @Override
  public void close() {
    memory.close();
  }
}
