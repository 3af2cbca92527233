package dev.bulkgen.tensor;

import java.util.Optional;

/** Element types of a safetensors file, by the names its header uses. */
public enum DType {
  BF16(2),
  F16(2),
  F32(4),
  F64(8),
  I8(1),
  U8(1),
  I16(2),
  U16(2),
  I32(4),
  U32(4),
  I64(8),
  U64(8),
  BOOL(1);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  public int bytes() {
    return bytes;
  }

  /** True for the types that weights may have: they are widened to float exactly. */
  public boolean isWeight() {
    return this == BF16 || this == F16 || this == F32;
  }

  public static Optional<DType> named(String name) {
    for (DType type : values()) {
      if (type.name().equals(name)) {
        return Optional.of(type);
      }
    }
    return Optional.empty();
  }
}
