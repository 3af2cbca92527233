package dev.bulkgen.spark.plan;

import static org.apache.spark.sql.functions.coalesce;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.octet_length;
import static org.apache.spark.sql.functions.size;
import static org.apache.spark.sql.functions.to_json;

import dev.bulkgen.spark.config.InputSettings;
import dev.bulkgen.spark.config.InputSettings.PromptForm;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.source.BatchRequest;
import dev.bulkgen.spark.source.PromptTable;
import dev.bulkgen.spark.source.RowTemplate;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.types.ArrayType;
import org.apache.spark.sql.types.DataType;
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

  static Column tokens(JobSettings settings, PromptTable table) {
    int output = settings.sampling().maxTokens().orElse(USUAL_OUTPUT) * settings.sampling().n();
    return coalesce(prompt(settings.input(), table), lit(0)).plus(lit(output)).cast("long");
  }

  private static Column prompt(InputSettings input, PromptTable table) {
    PromptForm form = input.form();
    if (form instanceof PromptForm.MessagesColumn messages) {
      return column(messages.name(), table);
    }
    if (form instanceof PromptForm.Template template) {
      Column sum = lit(template.text().length() / BYTES_A_TOKEN);
      for (String name : RowTemplate.parse(template.text(), table.inputSchema()).columns()) {
        sum = sum.plus(coalesce(column(name, table), lit(0)));
      }
      return sum;
    }
    if (form instanceof PromptForm.RequestBody) {
      return column(BatchRequest.BODY, table);
    }
    String usual = table.format().equals("text") ? "text" : "prompt";
    return column(((PromptForm.Column) form).name().orElse(usual), table);
  }

  private static Column column(String name, PromptTable table) {
    StructType schema = table.inputSchema();
    int index = new dev.bulkgen.spark.source.Columns(schema).find(name).orElse(-1);
    if (index < 0) {
      return lit(0);
    }
    Column value = col(PromptTable.ROW).getField(schema.apply(index).name());
    DataType type = schema.apply(index).dataType();
    if (type instanceof ArrayType array) {
      return array.elementType() instanceof StructType
          ? octet_length(to_json(value)).divide(BYTES_A_TOKEN)
          : size(value);
    }
    return type.equals(DataTypes.StringType) ? octet_length(value).divide(BYTES_A_TOKEN) : lit(1);
  }
}
