package dev.bulkgen.spark.sink;

import dev.bulkgen.spark.storage.RowWriter;
import java.util.Arrays;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.expressions.JoinedRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeProjection;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * Outcomes as rows of a table: one a sample or choice, or one for an error, beside the input's
 * columns.
 */
final class ResultRowWriter implements OutcomeWriter {
  private final ResultSchema schema;
  private final RowWriter rows;
  private final UnsafeProjection projection;

  ResultRowWriter(ResultSchema schema, RowWriter rows) {
    this.schema = schema;
    this.rows = rows;
    this.projection = UnsafeProjection.create(schema.type());
  }

  @Override
  public void write(RowOutcome outcome) {
    InternalRow input =
        outcome.input() == null ? new GenericInternalRow(schema.inputColumns()) : outcome.input();
    if (outcome instanceof RowOutcome.Failed failed) {
      InternalRow error =
          new GenericInternalRow(
              new Object[] {
                UTF8String.fromString(failed.code()), UTF8String.fromString(failed.message())
              });
      write(input, schema.columns().failed(), error);
      return;
    }
    for (Object[] values : schema.columns().rows(outcome)) {
      write(input, values, null);
    }
  }

  private void write(InternalRow input, Object[] values, InternalRow error) {
    Object[] ours = Arrays.copyOf(values, values.length + 1);
    ours[values.length] = error;
    rows.write(projection.apply(new JoinedRow(input, new GenericInternalRow(ours))));
  }

  @Override
  public String commit() {
    return rows.commit();
  }

  @Override
  public void close() {
    rows.close();
  }
}
