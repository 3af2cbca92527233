package dev.bulkgen.spark.source;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.List;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.DecimalType;

/** A text with {@code {column}} places. */
final class PromptTemplate {
  private record Part(String literal, int column) {}

  private static final int LITERAL = -1;

  private final List<Part> parts;
  private final Columns columns;

  private PromptTemplate(List<Part> parts, Columns columns) {
    this.parts = parts;
    this.columns = columns;
  }

  /**
   * @throws BulkgenException SETTING_INVALID for a brace without its other, COLUMN_NOT_FOUND,
   *     INPUT_INVALID for a column that cannot stand in a text
   */
  static PromptTemplate parse(String text, Columns columns) {
    List<Part> parts = new ArrayList<>();
    StringBuilder literal = new StringBuilder();
    int at = 0;
    while (at < text.length()) {
      char c = text.charAt(at);
      boolean doubled = at + 1 < text.length() && text.charAt(at + 1) == c;
      if ((c == '{' || c == '}') && doubled) {
        literal.append(c);
        at += 2;
      } else if (c == '{') {
        int end = text.indexOf('}', at);
        if (end < 0) {
          throw unbalanced('{', at);
        }
        parts.add(new Part(literal.toString(), LITERAL));
        literal.setLength(0);
        parts.add(new Part("", column(text.substring(at + 1, end), columns)));
        at = end + 1;
      } else if (c == '}') {
        throw unbalanced('}', at);
      } else {
        literal.append(c);
        at++;
      }
    }
    parts.add(new Part(literal.toString(), LITERAL));
    return new PromptTemplate(parts, columns);
  }

  private static BulkgenException unbalanced(char brace, int at) {
    return BulkgenException.of(
        ErrorCode.SETTING_INVALID,
        "prompt-template: the %s at %d stands alone; write it twice for the character itself",
        brace,
        at);
  }

  private static int column(String name, Columns columns) {
    int index = columns.require(name.trim(), "prompt-template");
    DataType type = columns.type(index);
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
          name.trim(),
          type.simpleString());
    }
    return index;
  }

  /**
   * @throws BulkgenException PROMPT_EMPTY if a column it needs is null, PROMPT_INVALID
   */
  String render(InternalRow row) {
    StringBuilder text = new StringBuilder();
    for (Part part : parts) {
      text.append(part.column() == LITERAL ? part.literal() : value(row, part.column()));
    }
    return text.toString();
  }

  private String value(InternalRow row, int column) {
    String what = "column '" + columns.name(column) + "' of the template";
    DataType type = columns.type(column);
    if (type.equals(DataTypes.StringType)) {
      return PromptReader.text(row, column, what);
    }
    if (row.isNullAt(column)) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "%s is null", what);
    }
    return String.valueOf(row.get(column, type));
  }
}
