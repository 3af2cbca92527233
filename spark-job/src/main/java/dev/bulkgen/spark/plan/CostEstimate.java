package dev.bulkgen.spark.plan;

import static org.apache.spark.sql.functions.array_join;
import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.flatten;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.octet_length;
import static org.apache.spark.sql.functions.size;
import static org.apache.spark.sql.functions.to_json;
import static org.apache.spark.sql.functions.when;

import dev.bulkgen.spark.config.InputSettings;
import dev.bulkgen.spark.config.InputSettings.PromptForm;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.source.BatchRequest;
import dev.bulkgen.spark.source.Columns;
import dev.bulkgen.spark.source.PromptTable;
import dev.bulkgen.spark.source.RowTemplate;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * What a row will cost, in tokens, from its size alone: good enough to cut units of about equal
 * work and to begin with the longest rows.
 */
final class CostEstimate {
  /** English text in the usual vocabularies has about four bytes a token. */
  private static final int BYTES_A_TOKEN = 4;

  /** Assumed where {@code max-tokens} says nothing. */
  private static final int USUAL_OUTPUT = 256;

  private CostEstimate() {}

  /**
   * Of a prompt or of completions, what size and beginning can be told from.
   *
   * @param value text or an array of tokens; null where there is none
   * @param isTokens whether it is an array of tokens
   */
  record Text(Column value, boolean isTokens) {
    Column tokens() {
      Column tokens = isTokens ? size(value) : octet_length(value).divide(BYTES_A_TOKEN);
      return when(value.isNotNull(), tokens).otherwise(lit(0));
    }
  }

  /** Estimated tokens, those that are there and those that will be generated. */
  static Column tokens(JobSettings settings, Text prompt, PromptTable table) {
    int output = 0;
    if (settings.task() == TaskType.GENERATE) {
      output = settings.sampling().maxTokens().orElse(USUAL_OUTPUT) * settings.sampling().n();
    }
    return given(settings.input(), prompt, table).plus(lit(output)).cast("long");
  }

  /** Of the prompt and of completions to score; a prompt before several choices counts once. */
  static Column given(InputSettings input, Text prompt, PromptTable table) {
    return input
        .completions()
        .map(column -> prompt.tokens().plus(column(column.name(), table).tokens()))
        .orElseGet(prompt::tokens);
  }

  static Text prompt(InputSettings input, PromptTable table) {
    PromptForm form = input.form();
    if (form instanceof PromptForm.MessagesColumn messages) {
      return column(messages.name(), table);
    }
    if (form instanceof PromptForm.Template template) {
      // The text between its places is the same in every row.
      List<Column> parts = new ArrayList<>(List.of(lit(template.text())));
      for (String name : RowTemplate.parse(template.text(), table.inputSchema()).columns()) {
        parts.add(coalesce(column(name, table).value().cast("string"), lit("")));
      }
      return new Text(concat(parts.toArray(Column[]::new)), false);
    }
    if (form instanceof PromptForm.RequestBody) {
      return column(BatchRequest.BODY, table);
    }
    if (form instanceof PromptForm.None) {
      return new Text(lit(null).cast("string"), false);
    }
    String usual = table.format().equals("text") ? "text" : "prompt";
    return column(((PromptForm.Column) form).name().orElse(usual), table);
  }

  private static Text column(String name, PromptTable table) {
    StructType schema = table.inputSchema();
    int index = new Columns(schema).find(name).orElse(-1);
    if (index < 0) {
      return new Text(lit(null).cast("string"), false);
    }
    Column value = col(PromptTable.ROW).getField(schema.apply(index).name());
    if (!(schema.apply(index).dataType() instanceof ArrayType array)) {
      return new Text(value.cast("string"), false);
    }
    if (array.elementType() instanceof StructType) {
      return new Text(to_json(value), false);
    }
    if (array.elementType().equals(DataTypes.StringType)) {
      return new Text(array_join(value, ""), false);
    }
    boolean isLists = array.elementType() instanceof ArrayType;
    return new Text(isLists ? flatten(value) : value, true);
  }
}
