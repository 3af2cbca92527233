package dev.bulkgen.spark.sql;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.Map;
import java.util.TreeMap;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.util.MapData;
import org.apache.spark.sql.connector.catalog.functions.ScalarFunction;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * {@link GenerateFunction} in a query. It says that it is not deterministic, although it is: what
 * is deterministic Catalyst may copy into every place that uses it, and run as often.
 */
final class BoundGenerate implements ScalarFunction<UTF8String> {
  private static final long serialVersionUID = 1L;

  private final RowGenerator generator;
  private final int arguments;

  BoundGenerate(RowGenerator generator, int arguments) {
    this.generator = generator;
    this.arguments = arguments;
  }

  RowGenerator generator() {
    return generator;
  }

  @Override
  public DataType[] inputTypes() {
    return arguments == 1
        ? new DataType[] {DataTypes.StringType}
        : new DataType[] {
          DataTypes.StringType, DataTypes.createMapType(DataTypes.StringType, DataTypes.StringType)
        };
  }

  @Override
  public DataType resultType() {
    return DataTypes.StringType;
  }

  @Override
  public boolean isDeterministic() {
    return false;
  }

  @Override
  public String name() {
    return GenerateFunction.NAME;
  }

  @Override
  public String canonicalName() {
    return "bulkgen.generate/" + arguments;
  }

  @Override
  public UTF8String produceResult(InternalRow row) {
    if (row.isNullAt(0)) {
      return null;
    }
    String prompt = row.getUTF8String(0).toString();
    Map<String, String> settings =
        arguments == 1 || row.isNullAt(1) ? Map.of() : settings(row.getMap(1));
    return UTF8String.fromString(generator.generate(prompt, settings));
  }

  private static Map<String, String> settings(MapData map) {
    Map<String, String> settings = new TreeMap<>();
    for (int index = 0; index < map.numElements(); index++) {
      String name = map.keyArray().getUTF8String(index).toString();
      if (map.valueArray().isNullAt(index)) {
        throw BulkgenException.of(ErrorCode.SETTING_INVALID, "%s: the value is null", name);
      }
      settings.put(name, map.valueArray().getUTF8String(index).toString());
    }
    return settings;
  }
}
