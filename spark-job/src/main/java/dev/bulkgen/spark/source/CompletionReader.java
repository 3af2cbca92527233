package dev.bulkgen.spark.source;

import dev.bulkgen.engine.Prompt;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.config.InputSettings.CompletionColumn;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.SpecializedGetters;
import org.apache.spark.sql.catalyst.util.ArrayData;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/** Takes what is to be scored out of a row's columns: one completion, or several choices. */
public final class CompletionReader {
  private final int column;
  private final String what;
  private final DataType completion;
  private final boolean isChoices;

  /**
   * @param completion type of one completion: text, or an array of token ids
   * @param isChoices whether the column holds arrays of such
   */
  private CompletionReader(int column, String what, DataType completion, boolean isChoices) {
    this.column = column;
    this.what = what;
    this.completion = completion;
    this.isChoices = isChoices;
  }

  /**
   * @throws BulkgenException COLUMN_NOT_FOUND naming the columns there are, INPUT_INVALID if the
   *     column is of another type
   */
  public static CompletionReader create(CompletionColumn settings, StructType schema) {
    Columns columns = new Columns(schema);
    int index = columns.require(settings.name(), settings.setting());
    DataType type = columns.type(index);
    String what = "column '" + columns.name(index) + "'";
    if (isCompletion(type)) {
      return new CompletionReader(index, what, type, false);
    }
    if (type instanceof ArrayType choices && isCompletion(choices.elementType())) {
      return new CompletionReader(index, what, choices.elementType(), true);
    }
    throw BulkgenException.of(
        ErrorCode.INPUT_INVALID,
        "%s: %s is %s; it has to be text, an array of token ids, or an array of either",
        settings.setting(),
        what,
        type.simpleString());
  }

  private static boolean isCompletion(DataType type) {
    return type.equals(DataTypes.StringType)
        || type instanceof ArrayType tokens && TokenIds.isId(tokens.elementType());
  }

  /** Whether a tokenizer has to read them. */
  public boolean readsText() {
    return completion.equals(DataTypes.StringType);
  }

  /**
   * @return at least one
   * @throws BulkgenException of kind DATA: PROMPT_EMPTY, PROMPT_INVALID
   */
  public List<Prompt> read(InternalRow row) {
    if (row.isNullAt(column)) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "%s is null", what);
    }
    if (!isChoices) {
      return List.of(one(row, column, what));
    }
    ArrayData choices = row.getArray(column);
    if (choices.numElements() == 0) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "%s holds no choices", what);
    }
    List<Prompt> completions = new ArrayList<>();
    for (int index = 0; index < choices.numElements(); index++) {
      String which = "choice " + index + " of " + what;
      if (choices.isNullAt(index)) {
        throw BulkgenException.of(ErrorCode.PROMPT_INVALID, "%s is null", which);
      }
      completions.add(one(choices, index, which));
    }
    return completions;
  }

  private Prompt one(SpecializedGetters from, int index, String which) {
    return completion instanceof ArrayType tokens
        ? new Prompt.Tokens(TokenIds.read(from.getArray(index), tokens.elementType(), which))
        : new Prompt.Text(PromptReader.text(from.getUTF8String(index), which));
  }
}
