package dev.bulkgen.spark.sink;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.Serializable;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/**
 * The columns of a result: all input columns, then ours.
 *
 * @param inputColumns how many come first
 * @param tokenIds whether {@code token_ids} is among ours
 */
public record ResultSchema(StructType type, int inputColumns, boolean tokenIds)
    implements Serializable {
  static final StructType USAGE =
      new StructType()
          .add("prompt_tokens", DataTypes.IntegerType)
          .add("completion_tokens", DataTypes.IntegerType)
          .add("cached_tokens", DataTypes.IntegerType);
  static final StructType ERROR =
      new StructType().add("code", DataTypes.StringType).add("message", DataTypes.StringType);

  /**
   * @throws BulkgenException INPUT_INVALID if an input column has the name of a result column
   */
  public static ResultSchema of(StructType input, String textColumn, boolean tokenIds) {
    StructType columns =
        new StructType()
            .add(textColumn, DataTypes.StringType)
            .add("finish_reason", DataTypes.StringType)
            .add("stop_reason", DataTypes.StringType)
            .add("usage", USAGE)
            .add("sample_index", DataTypes.IntegerType);
    if (tokenIds) {
      columns = columns.add("token_ids", DataTypes.createArrayType(DataTypes.IntegerType));
    }
    columns = columns.add("error", ERROR);
    StructType all = input;
    for (StructField column : columns.fields()) {
      refuseSameName(input, column.name(), textColumn);
      all = all.add(column);
    }
    return new ResultSchema(all, input.size(), tokenIds);
  }

  private static void refuseSameName(StructType input, String name, String textColumn) {
    for (String column : input.fieldNames()) {
      if (column.equalsIgnoreCase(name)) {
        throw BulkgenException.of(
            ErrorCode.INPUT_INVALID,
            "the input has a column '%s', which is also a result column: %s",
            column,
            name.equals(textColumn)
                ? "give --output-column another name"
                : "rename it before the run");
      }
    }
  }
}
