package dev.bulkgen.spark.source;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.text.PromptTemplate;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.DecimalType;
import org.apache.spark.sql.types.StructType;

/** A prompt template over the columns of Spark's rows. */
public final class RowTemplate {
  private final PromptTemplate template;
  private final Columns columns;

  private RowTemplate(PromptTemplate template, Columns columns) {
    this.template = template;
    this.columns = columns;
  }

  /**
   * @throws BulkgenException SETTING_INVALID for a brace without its other, COLUMN_NOT_FOUND,
   *     INPUT_INVALID for a column that cannot stand in a text
   */
  public static RowTemplate parse(String text, StructType schema) {
    Columns columns = new Columns(schema);
    PromptTemplate template = PromptTemplate.parse(text, columns.names());
    template.columns().forEach(name -> requirePrintable(name, columns));
    return new RowTemplate(template, columns);
  }

  private static void requirePrintable(String name, Columns columns) {
    DataType type = columns.type(columns.require(name, "prompt-template"));
    boolean printable =
        type.equals(DataTypes.StringType)
            || type.equals(DataTypes.BooleanType)
            || type.equals(DataTypes.ShortType)
            || type.equals(DataTypes.IntegerType)
            || type.equals(DataTypes.LongType)
            || type.equals(DataTypes.FloatType)
            || type.equals(DataTypes.DoubleType)
            || type instanceof DecimalType;
    if (!printable) {
      throw BulkgenException.of(
          ErrorCode.INPUT_INVALID,
          "prompt-template: column '%s' is %s; only text, numbers and booleans can be put in",
          name,
          type.simpleString());
    }
  }

  /** The columns it names, in the order of their first use. */
  public List<String> columns() {
    return template.columns();
  }

  /**
   * @throws BulkgenException PROMPT_INVALID if a column it needs is null or no UTF-8
   */
  String render(InternalRow row) {
    return template.render(name -> value(row, columns.require(name, "prompt-template")));
  }

  private Object value(InternalRow row, int column) {
    if (row.isNullAt(column)) {
      return null;
    }
    DataType type = columns.type(column);
    return type.equals(DataTypes.StringType)
        ? PromptReader.text(row, column, "column '" + columns.name(column) + "' of the template")
        : row.get(column, type);
  }
}
