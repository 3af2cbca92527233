package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.FieldLayout;
import dev.bulkgen.kernels.FieldLayout.Type;
import dev.bulkgen.kernels.StructLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Writes a struct of the catalogue field by field, by name; fields of nested structs by dotted
 * name. A field is set to its own type or not at all. Setting allocates nothing.
 */
public final class StructWriter {
  private final StructLayout layout;
  private final List<FieldLayout> fields;
  private final Map<String, Integer> indices = new HashMap<>();
  private final Map<String, FieldLayout> nested = new HashMap<>();
  private final ByteBuffer buffer;
  private final BitSet isSet;
  private int base;

  /** Writes to the start of {@code buffer}, which is in native order. */
  public StructWriter(StructLayout layout, ByteBuffer buffer) {
    this.layout = layout;
    this.fields = layout.flattened();
    this.buffer = buffer;
    this.isSet = new BitSet(fields.size());
    for (int i = 0; i < fields.size(); i++) {
      indices.put(fields.get(i).name(), i);
    }
    for (FieldLayout field : layout.fields()) {
      if (field.type() == Type.STRUCT) {
        nested.put(field.name(), field);
      }
    }
    if (buffer.order() != ByteOrder.nativeOrder()) {
      throw error("%s is written to a buffer of foreign byte order", layout.name());
    }
    at(0);
  }

  public StructLayout layout() {
    return layout;
  }

  /** Goes to entry {@code index} of an array in the buffer; none of its fields count as set. */
  public StructWriter at(int index) {
    long offset = (long) index * layout.bytes();
    if (index < 0 || offset + layout.bytes() > buffer.capacity()) {
      throw error("entry %d of %s leaves its buffer", index, layout.name());
    }
    base = (int) offset;
    isSet.clear();
    return this;
  }

  /** Sets a field of type int or unsigned. */
  public StructWriter set(String field, int value) {
    FieldLayout found = find(field);
    if (found.type() != Type.INT && found.type() != Type.UNSIGNED) {
      throw wrongType(found, "an int");
    }
    buffer.putInt(base + found.offset(), value);
    return this;
  }

  /** Sets a field of type float. */
  public StructWriter set(String field, float value) {
    FieldLayout found = find(field);
    if (found.type() != Type.FLOAT) {
      throw wrongType(found, "a float");
    }
    buffer.putFloat(base + found.offset(), value);
    return this;
  }

  /** Sets a field of type long long. */
  public StructWriter set(String field, long value) {
    FieldLayout found = find(field);
    if (found.type() != Type.LONG) {
      throw wrongType(found, "a long");
    }
    buffer.putLong(base + found.offset(), value);
    return this;
  }

  /** Sets a pointer; null is the null pointer. */
  public StructWriter set(String field, DeviceMemory memory) {
    return setAddress(field, memory == null ? 0 : memory.address());
  }

  /** Sets a pointer to a device address, such as one within an allocation. */
  public StructWriter setAddress(String field, long address) {
    FieldLayout found = find(field);
    if (found.type() != Type.POINTER) {
      throw wrongType(found, "a pointer");
    }
    buffer.putLong(base + found.offset(), address);
    return this;
  }

  /** Sets a nested struct to what {@code other} has written at its place. */
  public StructWriter set(String field, StructWriter other) {
    FieldLayout found = nested.get(field);
    if (found == null || !found.struct().equals(other.layout)) {
      throw error("%s has no struct %s of type %s", layout.name(), field, other.layout.name());
    }
    other.checkComplete();
    buffer.put(base + found.offset(), other.buffer, other.base, other.layout.bytes());
    int end = found.offset() + found.bytes();
    for (int i = 0; i < fields.size(); i++) {
      int offset = fields.get(i).offset();
      if (offset >= found.offset() && offset < end) {
        isSet.set(i);
      }
    }
    return this;
  }

  /**
   * @throws BulkgenException INTERNAL naming the fields that nobody has set
   */
  public void checkComplete() {
    if (isSet.nextClearBit(0) < fields.size()) {
      StringBuilder unset = new StringBuilder();
      for (int i = isSet.nextClearBit(0); i < fields.size(); i = isSet.nextClearBit(i + 1)) {
        unset.append(unset.isEmpty() ? "" : ", ").append(fields.get(i).name());
      }
      throw error("%s: not set: %s", layout.name(), unset);
    }
  }

  private FieldLayout find(String field) {
    Integer index = indices.get(field);
    if (index == null) {
      throw error("%s has no field %s", layout.name(), field);
    }
    isSet.set(index);
    return fields.get(index);
  }

  private BulkgenException wrongType(FieldLayout field, String given) {
    isSet.clear(indices.get(field.name()));
    return error("%s.%s is %s, not %s", layout.name(), field.name(), field.type(), given);
  }

  private static BulkgenException error(String format, Object... arguments) {
    return BulkgenException.of(ErrorCode.INTERNAL, format, arguments);
  }
}
