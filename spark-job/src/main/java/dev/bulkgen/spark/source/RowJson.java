package dev.bulkgen.spark.source;

import static org.apache.spark.sql.functions.map_entries;
import static org.apache.spark.sql.functions.struct;
import static org.apache.spark.sql.functions.to_json;
import static org.apache.spark.sql.functions.transform;
import static org.apache.spark.sql.functions.when;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.AtomicType;
import org.apache.spark.sql.types.BinaryType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** Rows as JSON that holds all they hold, whatever the session is set to. */
public final class RowJson {
  /** Spark's names. It would leave nulls out and cut timestamps to milliseconds. */
  public static final Map<String, String> OPTIONS =
      Map.of(
          "ignoreNullFields",
          "false",
          "timeZone",
          "UTC",
          "timestampFormat",
          "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
          "timestampNTZFormat",
          "yyyy-MM-dd'T'HH:mm:ss.SSSSSS");

  private RowJson() {}

  /**
   * One object a row, told by its content alone. A map whose keys are no texts in JSON, for which
   * Spark would write where in memory they lie, is an array of its entries.
   *
   * @param column of a field
   */
  public static Column of(List<StructField> fields, Function<StructField, Column> column) {
    return to_json(
        struct(
            fields.stream()
                .map(field -> told(column.apply(field), field.dataType()).as(field.name()))
                .toArray(Column[]::new)),
        OPTIONS);
  }

  private static Column told(Column value, DataType type) {
    if (hasTextKeys(type)) {
      return value;
    }
    if (type instanceof MapType map) {
      return transform(
          map_entries(value),
          entry ->
              struct(
                  told(entry.getField("key"), map.keyType()).as("key"),
                  told(entry.getField("value"), map.valueType()).as("value")));
    }
    if (type instanceof ArrayType array) {
      return transform(value, element -> told(element, array.elementType()));
    }
    List<StructField> fields = List.of(((StructType) type).fields());
    Column[] columns =
        fields.stream()
            .map(field -> told(value.getField(field.name()), field.dataType()).as(field.name()))
            .toArray(Column[]::new);
    return when(value.isNotNull(), struct(columns));
  }

  private static boolean hasTextKeys(DataType type) {
    return !type.existsRecursively(
        part ->
            part instanceof MapType map
                && (map.keyType() instanceof BinaryType || !(map.keyType() instanceof AtomicType)));
  }

  /**
   * Refuses what has no form as JSON that reads as it was.
   *
   * @throws BulkgenException INPUT_INVALID naming the first such column
   */
  public static void requireTextKeys(StructType schema) {
    for (StructField field : schema.fields()) {
      if (!hasTextKeys(field.dataType())) {
        throw BulkgenException.of(
            ErrorCode.INPUT_INVALID,
            "column '%s' is %s, and keys of JSON are texts: choose another output-format, or turn"
                + " it into its map_entries",
            field.name(),
            field.dataType().simpleString());
      }
    }
  }
}
