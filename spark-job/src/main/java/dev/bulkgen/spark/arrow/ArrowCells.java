package dev.bulkgen.spark.arrow;

import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.arrow.vector.BaseIntVector;
import org.apache.arrow.vector.BaseLargeVariableWidthVector;
import org.apache.arrow.vector.BaseVariableWidthVector;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.DateDayVector;
import org.apache.arrow.vector.DateMilliVector;
import org.apache.arrow.vector.Decimal256Vector;
import org.apache.arrow.vector.DecimalVector;
import org.apache.arrow.vector.DurationVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.FixedSizeBinaryVector;
import org.apache.arrow.vector.Float2Vector;
import org.apache.arrow.vector.Float4Vector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.IntervalDayVector;
import org.apache.arrow.vector.IntervalMonthDayNanoVector;
import org.apache.arrow.vector.IntervalYearVector;
import org.apache.arrow.vector.NullVector;
import org.apache.arrow.vector.TimeMicroVector;
import org.apache.arrow.vector.TimeMilliVector;
import org.apache.arrow.vector.TimeNanoVector;
import org.apache.arrow.vector.TimeSecVector;
import org.apache.arrow.vector.TimeStampVector;
import org.apache.arrow.vector.UInt8Vector;
import org.apache.arrow.vector.ViewVarBinaryVector;
import org.apache.arrow.vector.ViewVarCharVector;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.complex.LargeListVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.complex.ListViewVector;
import org.apache.arrow.vector.complex.MapVector;
import org.apache.arrow.vector.complex.StructVector;
import org.apache.arrow.vector.dictionary.Dictionary;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.util.ArrayBasedMapData;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Decimal;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.GeographyType;
import org.apache.spark.sql.types.GeometryType;
import org.apache.spark.sql.types.MapType;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.sql.types.UserDefinedType;
import org.apache.spark.sql.types.VariantType;
import org.apache.spark.sql.vectorized.ArrowColumnVector;
import org.apache.spark.unsafe.types.CalendarInterval;
import org.apache.spark.unsafe.types.UTF8String;
import org.apache.spark.unsafe.types.VariantVal;

/**
 * Takes Spark's values out of Arrow's vectors, whose contents may be hostile: offsets are checked
 * here, everything else by Arrow's own bounds.
 */
final class ArrowCells {
  private static final long MILLIS_A_DAY = TimeUnit.DAYS.toMillis(1);
  private static final long MICROS_A_MILLI = 1_000;
  private static final long MICROS_A_DAY = MILLIS_A_DAY * MICROS_A_MILLI;

  /** A vector's values as Spark's; null where there is none. */
  interface Cell {
    Object get(int row);
  }

  private final Map<Long, Dictionary> dictionaries;

  ArrowCells(Map<Long, Dictionary> dictionaries) {
    this.dictionaries = dictionaries;
  }

  /**
   * @param type as {@link ArrowSchemas#toSpark} tells it
   */
  Cell of(FieldVector vector, DataType type) {
    Cell cell = present(vector, type);
    return row -> vector.isNull(row) ? null : cell.get(row);
  }

  private Cell present(FieldVector vector, DataType type) {
    if (type instanceof UserDefinedType<?> own) {
      return present(vector, own.sqlType());
    }
    if (vector.getField().getDictionary() != null) {
      FieldVector values = dictionaries.get(vector.getField().getDictionary().getId()).getVector();
      Cell cell = of(values, type);
      BaseIntVector indices = (BaseIntVector) vector;
      return row -> cell.get(index(indices.getValueAsLong(row), values.getValueCount()));
    }
    if (type instanceof ArrayType array) {
      return array(vector, array.elementType());
    }
    if (type instanceof MapType map) {
      return map((MapVector) vector, map);
    }
    if (type instanceof VariantType) {
      return variant((StructVector) vector);
    }
    if (type instanceof GeometryType || type instanceof GeographyType) {
      ArrowColumnVector column = new ArrowColumnVector(vector);
      return row -> column.getBinaryView(row);
    }
    if (type instanceof StructType struct) {
      return struct((StructVector) vector, struct);
    }
    return scalar(vector, type);
  }

  private static int index(long index, int values) {
    if (index < 0 || index >= values) {
      throw new IndexOutOfBoundsException("no entry " + index + " in a dictionary of " + values);
    }
    return (int) index;
  }

  /** Where an array begins and ends among the elements. */
  private interface Range {
    long at(int row);
  }

  private Cell array(FieldVector vector, DataType elementType) {
    FieldVector elements = vector.getChildrenFromFields().get(0);
    Cell element = of(elements, elementType);
    Range start;
    Range end;
    if (vector instanceof ListVector list) {
      start = list::getElementStartIndex;
      end = list::getElementEndIndex;
    } else if (vector instanceof LargeListVector list) {
      start = list::getElementStartIndex;
      end = list::getElementEndIndex;
    } else if (vector instanceof FixedSizeListVector list) {
      start = list::getElementStartIndex;
      end = list::getElementEndIndex;
    } else {
      ListViewVector list = (ListViewVector) vector;
      start = list::getElementStartIndex;
      end = list::getElementEndIndex;
    }
    return row -> new GenericArrayData(values(element, elements, start.at(row), end.at(row)));
  }

  private static Object[] values(Cell cell, FieldVector vector, long start, long end) {
    checkRange(start, end, vector.getValueCount());
    Object[] values = new Object[(int) (end - start)];
    for (int index = 0; index < values.length; index++) {
      values[index] = cell.get((int) start + index);
    }
    return values;
  }

  private static void checkRange(long start, long end, long size) {
    if (start < 0 || end < start || end > size) {
      throw new IndexOutOfBoundsException("offsets " + start + " to " + end + " of " + size);
    }
  }

  private Cell map(MapVector vector, MapType type) {
    StructVector entries = (StructVector) vector.getDataVector();
    FieldVector keys = entries.getChildrenFromFields().get(0);
    FieldVector values = entries.getChildrenFromFields().get(1);
    Cell key = of(keys, type.keyType());
    Cell value = of(values, type.valueType());
    return row -> {
      int start = vector.getElementStartIndex(row);
      int end = vector.getElementEndIndex(row);
      return new ArrayBasedMapData(
          new GenericArrayData(values(key, keys, start, end)),
          new GenericArrayData(values(value, values, start, end)));
    };
  }

  private Cell struct(StructVector vector, StructType type) {
    List<FieldVector> children = vector.getChildrenFromFields();
    Cell[] cells = new Cell[children.size()];
    for (int index = 0; index < cells.length; index++) {
      cells[index] = of(children.get(index), type.apply(index).dataType());
    }
    return row -> {
      Object[] values = new Object[cells.length];
      for (int index = 0; index < cells.length; index++) {
        values[index] = cells[index].get(row);
      }
      return new GenericInternalRow(values);
    };
  }

  private Cell variant(StructVector vector) {
    Cell value = of((FieldVector) vector.getChild("value"), DataTypes.BinaryType);
    Cell metadata = of((FieldVector) vector.getChild("metadata"), DataTypes.BinaryType);
    return row -> new VariantVal((byte[]) value.get(row), (byte[]) metadata.get(row));
  }

  private static Cell scalar(FieldVector vector, DataType type) {
    if (vector instanceof UInt8Vector longs) {
      return row ->
          Decimal.apply(new java.math.BigDecimal(Long.toUnsignedString(longs.get(row))), 20, 0);
    }
    if (vector instanceof BaseIntVector integers) {
      return integer(integers, type);
    }
    if (type.equals(DataTypes.StringType) || type.equals(DataTypes.BinaryType)) {
      return bytes(vector, type);
    }
    if (type instanceof org.apache.spark.sql.types.StringType) {
      return bytes(vector, DataTypes.StringType);
    }
    if (type instanceof DecimalType decimal) {
      return decimal(vector, decimal);
    }
    if (vector instanceof BitVector bits) {
      return row -> bits.get(row) != 0;
    }
    if (vector instanceof Float8Vector doubles) {
      return doubles::get;
    }
    if (vector instanceof Float4Vector floats) {
      return floats::get;
    }
    if (vector instanceof Float2Vector halves) {
      return halves::getValueAsFloat;
    }
    if (vector instanceof NullVector) {
      return row -> null;
    }
    return time(vector);
  }

  private static Cell integer(BaseIntVector vector, DataType type) {
    if (type.equals(DataTypes.ByteType)) {
      return row -> (byte) vector.getValueAsLong(row);
    }
    if (type.equals(DataTypes.ShortType)) {
      return row -> (short) vector.getValueAsLong(row);
    }
    if (type.equals(DataTypes.IntegerType)) {
      return row -> (int) vector.getValueAsLong(row);
    }
    return vector instanceof BigIntVector longs ? longs::get : vector::getValueAsLong;
  }

  private static Cell bytes(FieldVector vector, DataType type) {
    Cell bytes;
    if (vector instanceof BaseVariableWidthVector texts) {
      bytes = row -> bytes(texts, row, texts.getStartOffset(row), texts.getEndOffset(row));
    } else if (vector instanceof BaseLargeVariableWidthVector texts) {
      bytes =
          row -> {
            long start = texts.getOffsetBuffer().getLong(8L * row);
            return bytes(texts, row, start, texts.getOffsetBuffer().getLong(8L * (row + 1)));
          };
    } else if (vector instanceof ViewVarCharVector texts) {
      bytes = texts::get;
    } else if (vector instanceof ViewVarBinaryVector texts) {
      bytes = texts::get;
    } else {
      bytes = ((FixedSizeBinaryVector) vector)::get;
    }
    return type.equals(DataTypes.BinaryType)
        ? bytes
        : row -> UTF8String.fromBytes((byte[]) bytes.get(row));
  }

  private static byte[] bytes(FieldVector vector, int row, long start, long end) {
    checkRange(start, end, vector.getDataBuffer().capacity());
    if (end - start > Integer.MAX_VALUE - 8) {
      throw new IndexOutOfBoundsException("value " + row + " has " + (end - start) + " bytes");
    }
    byte[] bytes = new byte[(int) (end - start)];
    vector.getDataBuffer().getBytes(start, bytes);
    return bytes;
  }

  private static Cell decimal(FieldVector vector, DecimalType type) {
    if (vector instanceof Decimal256Vector wide) {
      return row -> Decimal.apply(wide.getObject(row), type.precision(), type.scale());
    }
    DecimalVector decimals = (DecimalVector) vector;
    return row -> Decimal.apply(decimals.getObject(row), type.precision(), type.scale());
  }

  private static Cell time(FieldVector vector) {
    if (vector instanceof DateDayVector days) {
      return days::get;
    }
    if (vector instanceof DateMilliVector millis) {
      return row -> Math.toIntExact(Math.floorDiv(millis.get(row), MILLIS_A_DAY));
    }
    if (vector instanceof TimeStampVector stamps) {
      ArrowType.Timestamp type = (ArrowType.Timestamp) vector.getField().getType();
      return row -> micros(stamps.get(row), type.getUnit());
    }
    if (vector instanceof DurationVector durations) {
      ArrowType.Duration type = (ArrowType.Duration) vector.getField().getType();
      return row -> micros(DurationVector.get(durations.getDataBuffer(), row), type.getUnit());
    }
    if (vector instanceof TimeSecVector seconds) {
      return row -> TimeUnit.SECONDS.toNanos(seconds.get(row));
    }
    if (vector instanceof TimeMilliVector millis) {
      return row -> TimeUnit.MILLISECONDS.toNanos(millis.get(row));
    }
    if (vector instanceof TimeMicroVector micros) {
      return row -> TimeUnit.MICROSECONDS.toNanos(micros.get(row));
    }
    if (vector instanceof TimeNanoVector nanos) {
      return nanos::get;
    }
    return interval(vector);
  }

  private static Cell interval(FieldVector vector) {
    if (vector instanceof IntervalYearVector months) {
      return months::get;
    }
    if (vector instanceof IntervalDayVector days) {
      return row ->
          IntervalDayVector.getDays(days.getDataBuffer(), row) * MICROS_A_DAY
              + IntervalDayVector.getMilliseconds(days.getDataBuffer(), row) * MICROS_A_MILLI;
    }
    IntervalMonthDayNanoVector parts = (IntervalMonthDayNanoVector) vector;
    return row ->
        new CalendarInterval(
            IntervalMonthDayNanoVector.getMonths(parts.getDataBuffer(), row),
            IntervalMonthDayNanoVector.getDays(parts.getDataBuffer(), row),
            Math.floorDiv(
                IntervalMonthDayNanoVector.getNanoseconds(parts.getDataBuffer(), row), 1000L));
  }

  /** Spark keeps microseconds: what is finer is cut off, what is beyond their range is an error. */
  private static long micros(long value, org.apache.arrow.vector.types.TimeUnit unit) {
    return switch (unit) {
      case SECOND -> Math.multiplyExact(value, 1_000_000L);
      case MILLISECOND -> Math.multiplyExact(value, MICROS_A_MILLI);
      case MICROSECOND -> value;
      case NANOSECOND -> Math.floorDiv(value, 1000L);
    };
  }
}
