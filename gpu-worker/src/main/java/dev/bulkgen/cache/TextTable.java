package dev.bulkgen.cache;

import java.util.ArrayList;
import java.util.List;

/** Lines up columns of text with spaces. */
final class TextTable {
  private final String[] alignments;
  private final List<String[]> rows = new ArrayList<>();

  /**
   * @param alignments one per column: {@code <} left, {@code >} right
   */
  TextTable(String... alignments) {
    this.alignments = alignments;
  }

  void row(String... cells) {
    rows.add(cells);
  }

  String render() {
    int[] widths = new int[alignments.length];
    for (String[] row : rows) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row[i].length());
      }
    }
    StringBuilder text = new StringBuilder();
    for (String[] row : rows) {
      StringBuilder line = new StringBuilder();
      for (int i = 0; i < widths.length; i++) {
        String padding = " ".repeat(widths[i] - row[i].length());
        line.append(i == 0 ? "  " : "   ");
        line.append(alignments[i].equals(">") ? padding + row[i] : row[i] + padding);
      }
      text.append(line.toString().stripTrailing()).append('\n');
    }
    return text.toString();
  }
}
