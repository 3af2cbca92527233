package dev.bulkgen.spark.sql;

import dev.bulkgen.error.BulkgenException;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.connector.catalog.functions.BoundFunction;
import org.apache.spark.sql.connector.catalog.functions.UnboundFunction;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructType;

/**
 * {@code bulkgen_generate(prompt [, map of settings])}: the text for one prompt, for queries over a
 * few rows. A row waits for its text, so that the engine's batch is no larger than the executor's
 * task slots, and nothing is kept for a second run: many rows are a job's.
 */
final class GenerateFunction implements UnboundFunction {
  static final String NAME = "bulkgen_generate";

  private static final String USAGE =
      NAME + "(prompt [, map of settings]): the prompt is text, the settings map texts to texts";

  /**
   * Reads the session's settings.
   *
   * @throws UnsupportedOperationException for arguments that are not the function's
   * @throws BulkgenException SETTING_UNKNOWN, SETTING_INVALID listing every mistake
   */
  @Override
  public BoundFunction bind(StructType inputType) {
    int arguments = inputType.size();
    boolean fits =
        (arguments == 1 || arguments == 2 && isMap(inputType.apply(1).dataType()))
            && isText(inputType.apply(0).dataType());
    if (!fits) {
      throw new UnsupportedOperationException(USAGE);
    }
    return new BoundGenerate(RowGenerator.of(SparkSession.active()), arguments);
  }

  private static boolean isText(DataType type) {
    return type.equals(DataTypes.StringType) || type.equals(DataTypes.NullType);
  }

  /** Values of other types are cast by Spark. */
  private static boolean isMap(DataType type) {
    return type instanceof MapType map && map.keyType().equals(DataTypes.StringType);
  }

  @Override
  public String description() {
    return USAGE;
  }

  @Override
  public String name() {
    return NAME;
  }
}
