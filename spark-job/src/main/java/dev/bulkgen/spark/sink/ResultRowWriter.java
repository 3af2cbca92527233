package dev.bulkgen.spark.sink;

import dev.bulkgen.engine.Completion;
import dev.bulkgen.spark.storage.RowWriter;
import java.util.Locale;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.catalyst.expressions.JoinedRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeProjection;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.unsafe.types.UTF8String;

/** Outcomes as rows of a table: one a sample, or one for an error, beside the input's columns. */
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
      write(input, columns(failed));
      return;
    }
    for (Completion completion : ((RowOutcome.Generated) outcome).completions()) {
      write(input, columns(completion));
    }
  }

  private void write(InternalRow input, GenericInternalRow ours) {
    rows.write(projection.apply(new JoinedRow(input, ours)));
  }

  private GenericInternalRow columns(Completion completion) {
    Object[] columns = empty();
    columns[0] = UTF8String.fromString(completion.text());
    columns[1] = UTF8String.fromString(completion.finishReason().name().toLowerCase(Locale.ROOT));
    columns[2] = UTF8String.fromString(completion.stopReason());
    columns[3] =
        new GenericInternalRow(
            new Object[] {
              completion.usage().promptTokens(),
              completion.usage().completionTokens(),
              completion.usage().cachedTokens()
            });
    columns[4] = completion.sampleIndex();
    if (schema.tokenIds()) {
      columns[5] = new GenericArrayData(completion.tokenIds());
    }
    return new GenericInternalRow(columns);
  }

  private GenericInternalRow columns(RowOutcome.Failed failed) {
    Object[] columns = empty();
    columns[1] = UTF8String.fromString("error");
    columns[4] = 0;
    columns[columns.length - 1] =
        new GenericInternalRow(
            new Object[] {
              UTF8String.fromString(failed.code()), UTF8String.fromString(failed.message())
            });
    return new GenericInternalRow(columns);
  }

  private Object[] empty() {
    return new Object[schema.type().size() - schema.inputColumns()];
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
