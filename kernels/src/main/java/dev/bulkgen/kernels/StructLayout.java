package dev.bulkgen.kernels;

import java.util.ArrayList;
import java.util.List;

/**
 * A struct of the catalogue as a C++ compiler lays it out.
 *
 * @param bytes of one struct in an array: padded at its end to {@code alignment}
 */
public record StructLayout(String name, List<FieldLayout> fields, int bytes, int alignment) {

  public StructLayout {
    fields = List.copyOf(fields);
  }

  /**
   * The plain fields, those of nested structs in place of them, by dotted names and with offsets
   * from this struct's start.
   */
  public List<FieldLayout> flattened() {
    List<FieldLayout> flat = new ArrayList<>();
    for (FieldLayout field : fields) {
      if (field.struct() == null) {
        flat.add(field);
        continue;
      }
      for (FieldLayout inner : field.struct().flattened()) {
        String path = field.name() + "." + inner.name();
        flat.add(new FieldLayout(path, inner.type(), field.offset() + inner.offset(), null));
      }
    }
    return flat;
  }
}
