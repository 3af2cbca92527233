package dev.bulkgen.backend.cpu;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.IntBuffer;
import java.nio.ShortBuffer;
import java.util.function.IntFunction;

/**
 * Memory outside the heap in units of one size, little-endian; slabs of at most 1 GiB hold whole
 * units, so that a unit lies in one buffer and an offset in it is an int.
 */
final class Slabs {
  private static final int SLAB_BYTES = 1 << 30;

  private final int unitBytes;
  private final int unitsPerSlab;
  private final long bytes;
  private final ShortBuffer[] shorts;
  private final IntBuffer[] ints;

  /**
   * Takes {@code units · unitBytes} bytes, zeroed.
   *
   * @throws BulkgenException MEMORY_PLAN_REFUSED if the JVM does not give them
   */
  static Slabs allocate(String what, long units, int unitBytes) {
    return allocate(what, units, unitBytes, SLAB_BYTES, ByteBuffer::allocateDirect);
  }

  static Slabs allocate(
      String what, long units, int unitBytes, int slabBytes, IntFunction<ByteBuffer> memory) {
    if (unitBytes > slabBytes) {
      throw BulkgenException.of(
          ErrorCode.MEMORY_PLAN_REFUSED,
          "cpu cache: one unit of %s takes %d bytes, the limit is %d; use a smaller window or sink",
          what,
          unitBytes,
          slabBytes);
    }
    try {
      return new Slabs(units, unitBytes, slabBytes, memory);
    } catch (OutOfMemoryError e) {
      throw new BulkgenException(
          ErrorCode.MEMORY_PLAN_REFUSED,
          String.format(
              "cpu cache: the JVM gave less than the %d bytes for %s (%s); raise"
                  + " -XX:MaxDirectMemorySize to hold the whole cache, or plan a smaller one",
              units * unitBytes, what, e.getMessage()),
          e);
    }
  }

  private Slabs(long units, int unitBytes, int slabBytes, IntFunction<ByteBuffer> memory) {
    this.unitBytes = unitBytes;
    unitsPerSlab = unitBytes == 0 ? 1 : slabBytes / unitBytes;
    bytes = units * unitBytes;
    int slabs = unitBytes == 0 ? 0 : Math.toIntExact((units + unitsPerSlab - 1) / unitsPerSlab);
    shorts = new ShortBuffer[slabs];
    ints = new IntBuffer[slabs];
    for (int i = 0; i < slabs; i++) {
      long rest = units - (long) i * unitsPerSlab;
      int size = (int) Math.min(unitsPerSlab, rest) * unitBytes;
      ByteBuffer slab = memory.apply(size).order(ByteOrder.LITTLE_ENDIAN);
      shorts[i] = slab.asShortBuffer();
      ints[i] = slab.asIntBuffer();
    }
  }

  long bytes() {
    return bytes;
  }

  /** Copies {@code count} shorts from byte {@code at} of a unit on. */
  void read(long unit, int at, short[] target, int offset, int count) {
    int start = start(unit, at, count * Short.BYTES) / Short.BYTES;
    shorts[slab(unit)].get(start, target, offset, count);
  }

  void read(long unit, int at, int[] target, int offset, int count) {
    int start = start(unit, at, count * Integer.BYTES) / Integer.BYTES;
    ints[slab(unit)].get(start, target, offset, count);
  }

  void write(long unit, int at, short[] source, int offset, int count) {
    int start = start(unit, at, count * Short.BYTES) / Short.BYTES;
    shorts[slab(unit)].put(start, source, offset, count);
  }

  void write(long unit, int at, int[] source, int offset, int count) {
    int start = start(unit, at, count * Integer.BYTES) / Integer.BYTES;
    ints[slab(unit)].put(start, source, offset, count);
  }

  void write(long unit, int at, short value) {
    shorts[slab(unit)].put(start(unit, at, Short.BYTES) / Short.BYTES, value);
  }

  /** Copies a whole unit to a unit of {@code target}, which has units of the same size. */
  void copy(long from, Slabs target, long to) {
    target.shorts[target.slab(to)].put(
        target.start(to, 0, unitBytes) / Short.BYTES,
        shorts[slab(from)],
        start(from, 0, unitBytes) / Short.BYTES,
        unitBytes / Short.BYTES);
  }

  private int slab(long unit) {
    return (int) (unit / unitsPerSlab);
  }

  // The buffers check against their own ends only; a run that leaves its unit would land in a
  // neighbour.
  private int start(long unit, int at, int length) {
    if (at < 0 || length < 0 || at > unitBytes - length) {
      throw new IndexOutOfBoundsException(
          "bytes " + at + " to " + (at + length) + " of a unit of " + unitBytes);
    }
    return (int) (unit % unitsPerSlab) * unitBytes + at;
  }
}
