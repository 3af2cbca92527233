package dev.bulkgen.spark.sink;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.Serializable;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * The columns of a result: all input columns, then ours, {@code error} last.
 *
 * @param inputColumns how many come first
 * @param columns of the task
 */
public record ResultSchema(StructType type, int inputColumns, OutcomeColumns columns)
    implements Serializable {
  static final StructType ERROR =
      new StructType().add("code", DataTypes.StringType).add("message", DataTypes.StringType);

  /**
   * @throws BulkgenException INPUT_INVALID if an input column has the name of a result column
   */
  public static ResultSchema of(StructType input, OutcomeColumns columns) {
    StructType all = input;
    for (StructField column : columns.type().add("error", ERROR).fields()) {
      refuseSameName(input, column.name(), columns);
      all = all.add(column);
    }
    return new ResultSchema(all, input.size(), columns);
  }

  private static void refuseSameName(StructType input, String name, OutcomeColumns columns) {
    for (String column : input.fieldNames()) {
      if (column.equalsIgnoreCase(name)) {
        throw BulkgenException.of(
            ErrorCode.INPUT_INVALID,
            "the input has a column '%s', which is also a result column: %s",
            column,
            columns.wayOut(name));
      }
    }
  }
}
