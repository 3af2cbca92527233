package dev.bulkgen.spark.sink;

import dev.bulkgen.engine.Completion;
import java.util.List;
import java.util.Locale;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * Of generated texts, one row a sample.
 *
 * @param textColumn name of the column with the text
 * @param tokenIds whether {@code token_ids} is among them
 */
public record CompletionColumns(String textColumn, boolean tokenIds) implements OutcomeColumns {
  private static final int FINISH_REASON = 1;
  private static final int SAMPLE_INDEX = 4;

  @Override
  public StructType type() {
    StructType columns =
        new StructType()
            .add(textColumn, DataTypes.StringType)
            .add("finish_reason", DataTypes.StringType)
            .add("stop_reason", DataTypes.StringType)
            .add("usage", USAGE)
            .add("sample_index", DataTypes.IntegerType);
    return tokenIds
        ? columns.add("token_ids", DataTypes.createArrayType(DataTypes.IntegerType))
        : columns;
  }

  @Override
  public List<Object[]> rows(RowOutcome outcome) {
    return ((RowOutcome.Generated) outcome).completions().stream().map(this::values).toList();
  }

  private Object[] values(Completion completion) {
    Object[] values = failed();
    values[0] = UTF8String.fromString(completion.text());
    values[FINISH_REASON] =
        UTF8String.fromString(completion.finishReason().name().toLowerCase(Locale.ROOT));
    values[2] = UTF8String.fromString(completion.stopReason());
    values[3] = OutcomeColumns.row(completion.usage());
    values[SAMPLE_INDEX] = completion.sampleIndex();
    if (tokenIds) {
      values[5] = new GenericArrayData(completion.tokenIds());
    }
    return values;
  }

  @Override
  public Object[] failed() {
    Object[] values = new Object[tokenIds ? 6 : 5];
    values[FINISH_REASON] = UTF8String.fromString("error");
    values[SAMPLE_INDEX] = 0;
    return values;
  }

  @Override
  public String wayOut(String column) {
    return column.equals(textColumn)
        ? "give --output-column another name"
        : OutcomeColumns.super.wayOut(column);
  }
}
