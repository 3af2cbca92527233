package dev.bulkgen.spark.source;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.GeographyType;
import org.apache.spark.sql.types.GeometryType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;

/** Which columns a plan can keep: it is written as Parquet, and rows get keys from their JSON. */
final class PlannedTypes {
  private PlannedTypes() {}

  /**
   * @throws BulkgenException INPUT_INVALID naming the first column that it cannot
   */
  static void require(StructType schema, String input) {
    for (StructField field : schema.fields()) {
      if (!new ParquetFileFormat().supportDataType(field.dataType()) || !isJson(field.dataType())) {
        throw BulkgenException.of(
            ErrorCode.INPUT_INVALID,
            "column '%s' of %s is %s, which a plan cannot hold: turn it into another type, such as"
                + " text or binary",
            field.name(),
            input,
            field.dataType().simpleString());
      }
    }
  }

  private static boolean isJson(DataType type) {
    return !type.existsRecursively(
        part -> part instanceof GeometryType || part instanceof GeographyType);
  }
}
