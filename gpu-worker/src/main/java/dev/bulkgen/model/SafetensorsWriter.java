package dev.bulkgen.model;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import dev.bulkgen.tensor.Float16;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;

/** Writes a safetensors file of BF16, F16 or F32 tensors; the values are streamed, never held. */
public final class SafetensorsWriter {
  private static final int VALUES_AT_ONCE = 1 << 14;
  private static final int HEADER_ALIGNMENT = 8;
  private static final ObjectMapper JSON = new ObjectMapper();

  private SafetensorsWriter() {}

  /** Gives a tensor's values, in row-major order, a run at a time and each run once. */
  @FunctionalInterface
  public interface Values {
    /** Puts the values of elements {@code element … element + count − 1} to {@code target[0…]}. */
    void read(long element, float[] target, int count);
  }

  /** A tensor to write; values are rounded half to even to {@code dtype}. */
  public record Entry(String name, DType dtype, long[] shape, Values values) {
    public Entry {
      if (!dtype.isWeight()) {
        throw new IllegalArgumentException(name + ": " + dtype + " cannot be written from floats");
      }
    }

    /** A tensor from an array in row-major order. */
    public static Entry of(String name, DType dtype, long[] shape, float[] values) {
      Entry entry =
          new Entry(
              name,
              dtype,
              shape,
              (element, target, count) ->
                  System.arraycopy(values, (int) element, target, 0, count));
      if (entry.elementCount() != values.length) {
        throw new IllegalArgumentException(
            name + ": " + values.length + " values for " + Arrays.toString(shape));
      }
      return entry;
    }

    private long elementCount() {
      return Arrays.stream(shape).reduce(1, Math::multiplyExact);
    }

    private long bytes() {
      return Math.multiplyExact(elementCount(), (long) dtype.bytes());
    }
  }

  /**
   * Writes the tensors in the order given. The file appears whole or not at all.
   *
   * @throws BulkgenException OUTPUT_NOT_WRITABLE
   */
  public static void write(Path file, List<Entry> entries) {
    Path partial = file.resolveSibling(file.getFileName() + ".partial");
    try {
      try (FileChannel channel =
          FileChannel.open(
              partial,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE)) {
        writeFully(channel, header(entries));
        for (Entry entry : entries) {
          writeValues(channel, entry);
        }
      }
      Files.move(partial, file, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.OUTPUT_NOT_WRITABLE,
          file + ": cannot be written (" + e + "); check the folder and the free space",
          e);
    }
  }

  private static ByteBuffer header(List<Entry> entries) throws IOException {
    ObjectNode root = JSON.createObjectNode();
    root.putObject("__metadata__").put("format", "pt");
    long begin = 0;
    for (Entry entry : entries) {
      if (root.has(entry.name())) {
        throw new IllegalArgumentException("tensor " + entry.name() + " is given twice");
      }
      ObjectNode node = root.putObject(entry.name());
      node.put("dtype", entry.dtype().name());
      for (long extent : entry.shape()) {
        node.withArray("shape").add(extent);
      }
      if (entry.shape().length == 0) {
        node.putArray("shape");
      }
      long end = Math.addExact(begin, entry.bytes());
      node.putArray("data_offsets").add(begin).add(end);
      begin = end;
    }
    byte[] json = JSON.writeValueAsBytes(root);
    // Spaces up to a multiple of eight, so that every tensor is aligned as its elements are.
    int padded = (json.length + HEADER_ALIGNMENT - 1) / HEADER_ALIGNMENT * HEADER_ALIGNMENT;
    byte[] text = Arrays.copyOf(json, padded);
    Arrays.fill(text, json.length, padded, (byte) ' ');
    ByteBuffer buffer =
        ByteBuffer.allocate(Long.BYTES + padded).order(ByteOrder.LITTLE_ENDIAN).putLong(padded);
    return buffer.put(text).flip();
  }

  private static void writeValues(FileChannel channel, Entry entry) throws IOException {
    float[] values = new float[VALUES_AT_ONCE];
    ByteBuffer buffer =
        ByteBuffer.allocateDirect(VALUES_AT_ONCE * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    long total = entry.elementCount();
    for (long done = 0; done < total; done += VALUES_AT_ONCE) {
      int count = (int) Math.min(VALUES_AT_ONCE, total - done);
      entry.values().read(done, values, count);
      buffer.clear();
      for (int i = 0; i < count; i++) {
        switch (entry.dtype()) {
          case BF16 -> buffer.putShort(BFloat16.fromFloat(values[i]));
          case F16 -> buffer.putShort(Float16.fromFloat(values[i]));
          default -> buffer.putFloat(values[i]);
        }
      }
      writeFully(channel, buffer.flip());
    }
  }

  private static void writeFully(FileChannel channel, ByteBuffer buffer) throws IOException {
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }
}
