package dev.bulkgen.text;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.TreeSet;
import java.util.function.Function;

/** A prompt with {@code {column}} places; {@code {{} and {@code }}} write single braces. */
public final class PromptTemplate {
  private record Part(String text, boolean column) {}

  private final List<Part> parts;

  private PromptTemplate(List<Part> parts) {
    this.parts = parts;
  }

  /**
   * Parses a template against the columns there are.
   *
   * @throws BulkgenException SETTING_INVALID for a brace without its pair, COLUMN_NOT_FOUND listing
   *     all unknown columns at once
   */
  public static PromptTemplate parse(String template, Collection<String> columns) {
    List<Part> parts = new ArrayList<>();
    StringBuilder text = new StringBuilder();
    TreeSet<String> unknown = new TreeSet<>();
    for (int i = 0; i < template.length(); i++) {
      char c = template.charAt(i);
      boolean doubled = i + 1 < template.length() && template.charAt(i + 1) == c;
      if (c != '{' && c != '}') {
        text.append(c);
      } else if (doubled) {
        text.append(c);
        i++;
      } else {
        int close = c == '{' ? template.indexOf('}', i) : -1;
        if (close < 0) {
          throw BulkgenException.of(
              ErrorCode.SETTING_INVALID,
              "The prompt template has a '%s' without its pair at character %d; write '%s%s' for a"
                  + " plain brace.",
              c,
              i + 1,
              c,
              c);
        }
        String column = template.substring(i + 1, close).strip();
        if (!columns.contains(column)) {
          unknown.add(column);
        }
        parts.add(new Part(text.toString(), false));
        parts.add(new Part(column, true));
        text.setLength(0);
        i = close;
      }
    }
    parts.add(new Part(text.toString(), false));
    if (!unknown.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.COLUMN_NOT_FOUND,
          "The prompt template names columns that the input does not have: %s. It has: %s.",
          String.join(", ", unknown),
          String.join(", ", columns));
    }
    return new PromptTemplate(parts);
  }

  /** The columns in the order of their first use. */
  public List<String> columns() {
    return parts.stream().filter(Part::column).map(Part::text).distinct().toList();
  }

  /**
   * Fills in a row.
   *
   * @param row gives the value of a column
   * @throws BulkgenException PROMPT_INVALID (a row error) where a column is null
   */
  public String render(Function<String, ?> row) {
    StringBuilder prompt = new StringBuilder();
    for (Part part : parts) {
      Object value = part.column() ? row.apply(part.text()) : part.text();
      if (value == null) {
        throw BulkgenException.of(
            ErrorCode.PROMPT_INVALID,
            "The column '%s' of the prompt template is null in this row; fill it in or filter the"
                + " row out.",
            part.text());
      }
      prompt.append(value);
    }
    return prompt.toString();
  }
}
