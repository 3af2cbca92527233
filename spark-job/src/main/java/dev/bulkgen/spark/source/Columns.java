package dev.bulkgen.spark.source;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.StructType;

/** Finds columns by name and says which there are when one is missing. */
public final class Columns {
  private final StructType schema;

  public Columns(StructType schema) {
    this.schema = schema;
  }

  /** Exact name first, then whatever the case. */
  public Optional<Integer> find(String name) {
    List<String> names = List.of(schema.fieldNames());
    int exact = names.indexOf(name);
    if (exact >= 0) {
      return Optional.of(exact);
    }
    for (int index = 0; index < names.size(); index++) {
      if (names.get(index).equalsIgnoreCase(name)) {
        return Optional.of(index);
      }
    }
    return Optional.empty();
  }

  /**
   * @param setting that named the column
   * @throws BulkgenException COLUMN_NOT_FOUND
   */
  public int require(String name, String setting) {
    return find(name)
        .orElseThrow(
            () ->
                BulkgenException.of(
                    ErrorCode.COLUMN_NOT_FOUND,
                    "the input has no column '%s' (%s); it has %s",
                    name,
                    setting,
                    String.join(", ", schema.fieldNames())));
  }

  /** Names as {@link #find} takes them: whatever the case. */
  Set<String> names() {
    Set<String> names = new TreeSet<>(String.CASE_INSENSITIVE_ORDER);
    names.addAll(List.of(schema.fieldNames()));
    return names;
  }

  public DataType type(int index) {
    return schema.apply(index).dataType();
  }

  public String name(int index) {
    return schema.apply(index).name();
  }
}
