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
 */
public record CompletionColumns(String textColumn, Tokens tokens) implements OutcomeColumns {
  /** What is told of each token. */
  public enum Tokens {
    NOTHING,
    /** {@code token_ids}. */
    IDS,
    /** And {@code cumulative_logprob} and {@code logprobs}, null where a row asks for none. */
    LOGPROBS
  }

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
    if (tokens == Tokens.NOTHING) {
      return columns;
    }
    StructType withIds = columns.add("token_ids", DataTypes.createArrayType(DataTypes.IntegerType));
    return tokens == Tokens.IDS
        ? withIds
        : withIds
            .add("cumulative_logprob", DataTypes.DoubleType)
            .add("logprobs", LogprobCells.TYPE);
  }

  @Override
  public List<Object[]> rows(RowOutcome outcome) {
    RowOutcome.Generated row = (RowOutcome.Generated) outcome;
    return row.completions().stream().map(completion -> values(completion, row.tokens())).toList();
  }

  private Object[] values(Completion completion, TokenTexts texts) {
    Object[] values = failed();
    values[0] = UTF8String.fromString(completion.text());
    values[FINISH_REASON] =
        UTF8String.fromString(completion.finishReason().name().toLowerCase(Locale.ROOT));
    values[2] = UTF8String.fromString(completion.stopReason());
    values[3] = OutcomeColumns.row(completion.usage());
    values[SAMPLE_INDEX] = completion.sampleIndex();
    if (tokens != Tokens.NOTHING) {
      values[5] = new GenericArrayData(completion.tokenIds());
    }
    if (tokens == Tokens.LOGPROBS && !completion.logProbs().isEmpty()) {
      values[6] = LogprobCells.sum(completion);
      values[7] = LogprobCells.of(completion, texts);
    }
    return values;
  }

  @Override
  public Object[] failed() {
    Object[] values = new Object[type().size()];
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
