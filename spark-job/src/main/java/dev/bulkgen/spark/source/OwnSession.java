package dev.bulkgen.spark.source;

import java.util.Map;
import java.util.function.Supplier;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.classic.Dataset$;
import org.apache.spark.sql.execution.SQLExecution$;

/**
 * The session that rows get their keys in and are written from. What the caller's session, {@code
 * --conf} or a query around the call is set to must not change a row's bytes (P1), so what could is
 * set here.
 */
public final class OwnSession {
  private static final Map<String, String> KEYS =
      Map.of(
          "spark.sql.session.timeZone", "UTC",
          "spark.sql.ansi.enabled", "true",
          "spark.sql.legacy.timeParserPolicy", "CORRECTED",
          "spark.sql.legacy.castComplexTypesToString.enabled", "false",
          "spark.sql.jsonGenerator.writeNullIfWithDefaultValue", "false",
          // Times of day that the caller's session had on are read here too.
          "spark.sql.timeType.enabled", "true");

  /** What files are written with, where options of a write cannot say it. */
  private static final Map<String, String> FILES =
      Map.of(
          "spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS",
          "spark.sql.parquet.writeLegacyFormat", "false",
          "spark.sql.parquet.datetimeRebaseModeInWrite", "CORRECTED",
          "spark.sql.parquet.fieldId.write.enabled", "true");

  private OwnSession() {}

  /** A new one; what the caller's has set since it began does not reach it. */
  public static SparkSession of(SparkSession caller) {
    SparkSession own = caller.newSession();
    KEYS.forEach(own.conf()::set);
    FILES.forEach(own.conf()::set);
    return own;
  }

  /**
   * The rows, to be written down. They are still what the caller's session makes of them, with its
   * functions, views and caches: all but how files are written is as it is there.
   */
  static Dataset<Row> written(Dataset<Row> rows) {
    var session = ((org.apache.spark.sql.classic.SparkSession) rows.sparkSession()).cloneSession();
    FILES.forEach(session.conf()::set);
    return Dataset$.MODULE$.ofRows(session, rows.queryExecution().commandExecuted());
  }

  /**
   * Runs Spark's jobs with the session's settings in their tasks, where those of a query around
   * them, such as a stream's batch, would go first.
   */
  public static <T> T within(SparkSession own, Supplier<T> jobs) {
    return SQLExecution$.MODULE$.withSQLConfPropagated(
        (org.apache.spark.sql.classic.SparkSession) own, jobs::get);
  }
}
