package dev.bulkgen.spark.sql;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.spark.api.FinishedJob;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.connector.read.LocalScan;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;

/** A report as the one row that a procedure returns; the columns have the names of its JSON. */
final class ReportScan implements LocalScan {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String REPORT = "report";

  static final StructType SCHEMA =
      new StructType()
          .add("output", DataTypes.StringType)
          .add("rows_done", DataTypes.LongType)
          .add("rows_failed", DataTypes.LongType)
          .add("units_run", DataTypes.LongType)
          .add("units_reused", DataTypes.LongType)
          .add("prompt_tokens", DataTypes.LongType)
          .add("completion_tokens", DataTypes.LongType)
          .add("seconds", DataTypes.DoubleType)
          .add("completion_tokens_per_second", DataTypes.DoubleType)
          .add(REPORT, DataTypes.StringType);

  private final FinishedJob job;

  ReportScan(FinishedJob job) {
    this.job = job;
  }

  @Override
  public StructType readSchema() {
    return SCHEMA;
  }

  @Override
  public InternalRow[] rows() {
    String json = job.report().toJson();
    JsonNode figures;
    try {
      figures = JSON.readTree(json);
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("the report is JSON", e);
    }
    Object[] values = new Object[SCHEMA.size()];
    for (int index = 0; index < values.length; index++) {
      StructField field = SCHEMA.apply(index);
      JsonNode figure = figures.path(field.name());
      if (field.dataType().equals(DataTypes.LongType)) {
        values[index] = figure.asLong();
      } else if (field.dataType().equals(DataTypes.DoubleType)) {
        values[index] = figure.asDouble();
      } else {
        values[index] = UTF8String.fromString(field.name().equals(REPORT) ? json : job.output());
      }
    }
    return new InternalRow[] {new GenericInternalRow(values)};
  }
}
