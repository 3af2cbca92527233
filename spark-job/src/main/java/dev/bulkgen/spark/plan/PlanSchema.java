package dev.bulkgen.spark.plan;

import dev.bulkgen.spark.source.PromptTable;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** The columns of a plan file, in this order. */
public final class PlanSchema {
  /** The row's place in the input; gaps are blank lines. */
  public static final int ORDINAL = 0;

  /** What the row is called: with the seed it fixes the random numbers (P1). */
  public static final int KEY = 1;

  /** Estimated tokens, prompt and output. */
  public static final int COST = 2;

  /** What made the row unreadable, with file and line; null if nothing. */
  public static final int ERROR = 3;

  /** The user's columns. */
  public static final int ROW = 4;

  /** While planning alone: the prefix that rows are put together by. */
  static final int PREFIX = 5;

  private PlanSchema() {}

  public static StructType of(StructType inputSchema) {
    return new StructType()
        .add("ordinal", DataTypes.LongType)
        .add("key", DataTypes.StringType)
        .add("cost", DataTypes.LongType)
        .add("error", DataTypes.StringType)
        .add(PromptTable.ROW, inputSchema);
  }
}
