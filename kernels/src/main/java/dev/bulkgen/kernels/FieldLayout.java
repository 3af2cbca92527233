package dev.bulkgen.kernels;

/**
 * One field of a struct as a C++ compiler lays it out.
 *
 * @param offset from the struct's start, in bytes
 * @param struct of a field of type STRUCT; else null
 */
public record FieldLayout(String name, Type type, int offset, StructLayout struct) {

  /** What a field can be; sizes are those of 64-bit Linux. */
  public enum Type {
    POINTER(8),
    LONG(8),
    INT(4),
    UNSIGNED(4),
    FLOAT(4),
    STRUCT(0);

    private final int bytes;

    Type(int bytes) {
      this.bytes = bytes;
    }
  }

  public int bytes() {
    return type == Type.STRUCT ? struct.bytes() : type.bytes;
  }

  /** A number's alignment is its size; a struct's is that of its widest field. */
  static int alignment(Type type, StructLayout struct) {
    return type == Type.STRUCT ? struct.alignment() : type.bytes;
  }
}
