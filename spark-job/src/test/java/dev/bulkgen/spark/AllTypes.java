package dev.bulkgen.spark;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;

/** A table with a column of each of Spark's types, plain and nested, with nulls at every depth. */
public final class AllTypes {
  /** Column and expression; {@code i} is 0, 1 or 2, and every third value is null. */
  private static final List<String> COLUMNS =
      List.of(
          "b:i = 1",
          "i8:cast(i - 128 as tinyint)",
          "i16:cast(-32768 + i as smallint)",
          "i32:cast(-2147483648 + i as int)",
          "i64:cast(-9223372036854775808 + i as bigint)",
          "f32:cast(if(i = 0, 'NaN', 1.5e-40) as float)",
          "f64:cast(if(i = 0, '-Infinity', 4.9e-324) as double)",
          "d9:cast(1234567.89 as decimal(9, 2))",
          "d38:cast(concat('-', repeat('9', 38)) as decimal(38, 0))",
          "d20:cast('0.00000000000000000001' as decimal(20, 20))",
          "text:if(i = 0, '', concat('Grüße \\u0000 ', char(128512), '\"\\n'))",
          "bytes:if(i = 0, X'', X'00FF80')",
          "day:if(i = 0, date'0001-01-01', date'9999-12-31')",
          "at:if(i = 0, timestamp'1900-01-01 00:00:00.000001Z', timestamp'2026-02-28 23:59:59.999999Z')",
          "ntz:if(i = 0, timestamp_ntz'1582-10-15 00:00:00', timestamp_ntz'2026-02-28 23:59:59.999999')",
          "clock:if(i = 0, time'00:00:00', time'23:59:59.999999')",
          "ym:if(i = 0, interval '-1-11' year to month, interval '3' year)",
          "months:interval '11' month",
          "dt:interval '-1 02:03:04.000005' day to second",
          "seconds:interval '7' second",
          "list:array(i, null, 3)",
          "nolist:cast(array() as array<int>)",
          "lists:array(array('a', null), null, array())",
          "pairs:map('a', i, 'b', null)",
          "rare:map(date'2020-01-01', map(1, array(cast(2.50 as decimal(5, 2)))))",
          "some:named_struct('x', i, 'y', cast(null as string), 'Z z', array(named_struct('q', 1.5)))",
          "messages:array(named_struct('role', 'user', 'content', 'hi'), null)",
          "deep:named_struct('a', named_struct('b', named_struct('c', array(map('k', timestamp'2020-01-01 00:00:00Z')))))",
          "variant:parse_json('{\"a\":[1,null,\"x\"],\"b\":1.5}')",
          "place:st_geomfromwkb(X'0101000000000000000000F03F0000000000000040', 4326)",
          "point:st_geogfromwkb(X'0101000000000000000000F03F0000000000000040')",
          "variants:array(parse_json('1'), null)");

  private AllTypes() {}

  /** Three rows; the last is null in every column but {@code id}. */
  public static Dataset<Row> table(SparkSession session) {
    // Spark has these two types behind switches.
    session.conf().set("spark.sql.timeType.enabled", "true");
    session.conf().set("spark.sql.geospatial.enabled", "true");
    String[] columns =
        COLUMNS.stream()
            .map(
                column -> {
                  int colon = column.indexOf(':');
                  String expression = column.substring(colon + 1);
                  return "if(i < 2, " + expression + ", null) as " + column.substring(0, colon);
                })
            .toArray(String[]::new);
    return session
        .range(0, 3, 1, 1)
        .selectExpr("cast(id as int) as i")
        .selectExpr(columns)
        .selectExpr("*", "null as nothing", "array(null) as nothings");
  }

  /** Bit for bit, NaN and the order of a map's entries included. */
  public static void assertSameRows(Dataset<Row> expected, Dataset<Row> actual) {
    InternalRow[] rows = rows(expected);
    if (!Arrays.equals(rows, rows(actual))) {
      for (String column : expected.columns()) {
        assertArrayEquals(rows(expected.select(column)), rows(actual.select(column)), column);
      }
    }
    assertEquals(3, rows.length);
  }

  private static InternalRow[] rows(Dataset<Row> table) {
    return table.queryExecution().executedPlan().executeCollect();
  }
}
