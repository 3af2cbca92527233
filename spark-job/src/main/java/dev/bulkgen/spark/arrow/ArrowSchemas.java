package dev.bulkgen.spark.arrow;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.Map;
import org.apache.arrow.vector.dictionary.Dictionary;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.IntervalUnit;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.Schema;
import org.apache.spark.sql.catalyst.types.DataTypeUtils;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.DayTimeIntervalType;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.types.TimeType;
import org.apache.spark.sql.types.YearMonthIntervalType;
import org.apache.spark.sql.util.ArrowUtils;

/**
 * Spark's types in Arrow and back. Spark's own mapping is used where there is one; what other
 * writers use beyond it (narrow units of time, unsigned integers, views, dictionaries, large and
 * fixed-size lists) is read too.
 */
final class ArrowSchemas {
  /**
   * Spark's schema as JSON, beside Arrow's: what Arrow has no type for (fields of an interval,
   * lengths of character columns) is read back as it was.
   */
  private static final String SPARK_SCHEMA = "bulkgen.spark.schema";

  private static final int MOST_PRECISION = DecimalType.MAX_PRECISION();

  private ArrowSchemas() {}

  /**
   * @throws BulkgenException INPUT_INVALID naming a column that Arrow has no type for
   */
  static Schema toArrow(StructType schema) {
    for (StructField field : schema.fields()) {
      if (!supports(field.dataType())) {
        throw BulkgenException.of(
            ErrorCode.INPUT_INVALID,
            "column '%s' is %s, which Arrow cannot hold: cast it to another type",
            field.name(),
            field.dataType().simpleString());
      }
    }
    return new Schema(
        ArrowUtils.toArrowSchema(schema, "UTC", true, false).getFields(),
        Map.of(SPARK_SCHEMA, schema.json()));
  }

  static boolean supports(DataType type) {
    try {
      StructType column = new StructType().add("c", type);
      ArrowUtils.failDuplicatedFieldNames(column);
      ArrowUtils.toArrowSchema(column, "UTC", true, false);
      return true;
    } catch (Exception e) {
      // Scala code throws checked exceptions unannounced, so javac lets no narrower type stand.
      return false;
    }
  }

  /**
   * @param dictionaries of the file, by id
   * @throws BulkgenException INPUT_INVALID naming a column whose type Spark cannot hold
   */
  static StructType toSpark(Schema schema, Map<Long, Dictionary> dictionaries) {
    StructType spark = new StructType();
    for (Field field : schema.getFields()) {
      spark = spark.add(field.getName(), toSpark(field, dictionaries), true);
    }
    String json = schema.getCustomMetadata().get(SPARK_SCHEMA);
    return json == null ? spark : exact(json, spark);
  }

  /** The schema that the writer kept, if it is one of these columns. */
  private static StructType exact(String json, StructType found) {
    try {
      StructType kept = (StructType) DataType.fromJson(json);
      StructType again =
          toSpark(ArrowUtils.toArrowSchema(kept, "UTC", true, false), Map.of()).asNullable();
      return DataTypeUtils.sameType(again, found) ? kept : found;
    } catch (Exception e) {
      // Another writer copied the key; its own types are what counts.
      return found;
    }
  }

  private static DataType toSpark(Field field, Map<Long, Dictionary> dictionaries) {
    if (field.getDictionary() != null) {
      Dictionary dictionary = dictionaries.get(field.getDictionary().getId());
      if (dictionary == null) {
        throw BulkgenException.of(
            ErrorCode.INPUT_INVALID, "column '%s' lacks its dictionary", field.getName());
      }
      return toSpark(dictionary.getVector().getField(), dictionaries);
    }
    return switch (field.getType().getTypeID()) {
      case List, LargeList, FixedSizeList, ListView -> {
        Field element = field.getChildren().get(0);
        yield DataTypes.createArrayType(toSpark(element, dictionaries), element.isNullable());
      }
      case Map -> {
        Field entries = field.getChildren().get(0);
        Field value = entries.getChildren().get(1);
        yield new MapType(
            toSpark(entries.getChildren().get(0), dictionaries),
            toSpark(value, dictionaries),
            value.isNullable());
      }
      case Struct -> struct(field, dictionaries);
      default -> scalar(field);
    };
  }

  private static DataType struct(Field field, Map<Long, Dictionary> dictionaries) {
    if (ArrowUtils.isVariantField(field)
        || ArrowUtils.isGeometryField(field)
        || ArrowUtils.isGeographyField(field)) {
      return ArrowUtils.fromArrowField(field);
    }
    StructType struct = new StructType();
    for (Field child : field.getChildren()) {
      struct = struct.add(child.getName(), toSpark(child, dictionaries), child.isNullable());
    }
    return struct;
  }

  private static DataType scalar(Field field) {
    ArrowType type = field.getType();
    return switch (type.getTypeID()) {
      case Null -> DataTypes.NullType;
      case Bool -> DataTypes.BooleanType;
      case Int -> integer((ArrowType.Int) type);
      case FloatingPoint ->
          ((ArrowType.FloatingPoint) type).getPrecision() == FloatingPointPrecision.DOUBLE
              ? DataTypes.DoubleType
              : DataTypes.FloatType;
      case Utf8, LargeUtf8, Utf8View -> DataTypes.StringType;
      case Binary, LargeBinary, BinaryView, FixedSizeBinary -> DataTypes.BinaryType;
      case Decimal -> decimal(field, (ArrowType.Decimal) type);
      case Date -> DataTypes.DateType;
      case Time -> new TimeType(TimeType.MICROS_PRECISION());
      case Timestamp ->
          ((ArrowType.Timestamp) type).getTimezone() == null
              ? DataTypes.TimestampNTZType
              : DataTypes.TimestampType;
      case Duration -> DayTimeIntervalType.DEFAULT();
      case Interval -> interval(((ArrowType.Interval) type).getUnit());
      default -> throw unsupported(field);
    };
  }

  /** Unsigned integers take the next larger type. */
  private static DataType integer(ArrowType.Int type) {
    int bits = type.getIsSigned() ? type.getBitWidth() : 2 * type.getBitWidth();
    return switch (bits) {
      case 8 -> DataTypes.ByteType;
      case 16 -> DataTypes.ShortType;
      case 32 -> DataTypes.IntegerType;
      case 64 -> DataTypes.LongType;
      default -> DataTypes.createDecimalType(20, 0);
    };
  }

  private static DataType decimal(Field field, ArrowType.Decimal type) {
    if (type.getPrecision() > MOST_PRECISION
        || type.getScale() < 0
        || type.getScale() > type.getPrecision()) {
      throw unsupported(field);
    }
    return DataTypes.createDecimalType(type.getPrecision(), type.getScale());
  }

  private static DataType interval(IntervalUnit unit) {
    return switch (unit) {
      case YEAR_MONTH -> YearMonthIntervalType.DEFAULT();
      case DAY_TIME -> DayTimeIntervalType.DEFAULT();
      case MONTH_DAY_NANO -> DataTypes.CalendarIntervalType;
    };
  }

  private static BulkgenException unsupported(Field field) {
    return BulkgenException.of(
        ErrorCode.INPUT_INVALID,
        "column '%s' is %s in Arrow, which Spark cannot hold: write it as another type",
        field.getName(),
        field.getType());
  }
}
