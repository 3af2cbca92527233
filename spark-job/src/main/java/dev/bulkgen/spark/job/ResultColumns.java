package dev.bulkgen.spark.job;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.OutputSettings;
import dev.bulkgen.spark.config.OutputSettings.TokenIdColumn;
import dev.bulkgen.spark.config.OutputSettings.TokenLogprobColumns;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.sink.CompletionColumns;
import dev.bulkgen.spark.sink.CompletionColumns.Tokens;
import dev.bulkgen.spark.sink.ResultSchema;
import dev.bulkgen.spark.sink.ScoreColumns;
import dev.bulkgen.spark.sink.ShardWriter;
import dev.bulkgen.spark.source.Columns;
import dev.bulkgen.spark.source.PromptReader;
import org.apache.spark.sql.types.StructType;

/** Which columns a job's result has. */
final class ResultColumns {
  private ResultColumns() {}

  static ResultSchema of(JobSettings settings, PromptReader prompts, StructType input) {
    OutputSettings output = settings.output();
    if (settings.task() == TaskType.SCORE) {
      boolean tokens = output.tokenLogprobs() == TokenLogprobColumns.ALWAYS;
      return ResultSchema.of(input, new ScoreColumns(tokens));
    }
    return ResultSchema.of(
        input, new CompletionColumns(output.textColumn(), tokens(settings, prompts)));
  }

  private static Tokens tokens(JobSettings settings, PromptReader prompts) {
    if (settings.sampling().logprobs().isPresent()) {
      return Tokens.LOGPROBS;
    }
    boolean ids = settings.output().tokenIds() == TokenIdColumn.ALWAYS || prompts.readsTokenIds();
    return ids ? Tokens.IDS : Tokens.NOTHING;
  }

  /**
   * @throws BulkgenException COLUMN_NOT_FOUND, INPUT_INVALID if the column is not text
   */
  static int requireText(Columns columns, String name) {
    int index = columns.require(name, "answer-column");
    if (!ShardWriter.comparable(columns.type(index))) {
      throw BulkgenException.of(
          ErrorCode.INPUT_INVALID,
          "answer column '%s' is %s: it has to be text",
          name,
          columns.type(index).simpleString());
    }
    return index;
  }
}
