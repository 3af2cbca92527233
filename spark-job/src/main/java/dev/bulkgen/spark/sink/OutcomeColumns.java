package dev.bulkgen.spark.sink;

import dev.bulkgen.engine.Usage;
import java.io.Serializable;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * The columns that a task adds to the input's, but for {@code error}, and what an outcome puts into
 * them.
 */
public sealed interface OutcomeColumns extends Serializable
    permits CompletionColumns, ScoreColumns {
  StructType USAGE =
      new StructType()
          .add("prompt_tokens", DataTypes.IntegerType)
          .add("completion_tokens", DataTypes.IntegerType)
          .add("cached_tokens", DataTypes.IntegerType);

  StructType type();

  /**
   * @param outcome of this task, and no error
   * @return the values of each row it becomes, as Catalyst has them
   */
  List<Object[]> rows(RowOutcome outcome);

  /** What stands beside an error. */
  Object[] failed();

  /** What to do about an input column that is called as one of these. */
  default String wayOut(String column) {
    return "rename it before the run";
  }

  static InternalRow row(Usage usage) {
    return new GenericInternalRow(
        new Object[] {usage.promptTokens(), usage.completionTokens(), usage.cachedTokens()});
  }
}
