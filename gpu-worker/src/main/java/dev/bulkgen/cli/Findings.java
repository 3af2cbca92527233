package dev.bulkgen.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** What was found on a machine, and what would give more. */
final class Findings {
  private static final int NAME_WIDTH = 16;

  private final List<String> lines = new ArrayList<>();
  private final List<String> advice = new ArrayList<>();

  /** A thing and what is to be said of it. */
  void found(String name, String format, Object... values) {
    String text = String.format(Locale.ROOT, format, values);
    lines.add("  " + name + " ".repeat(Math.max(1, NAME_WIDTH - name.length())) + text);
  }

  /** What to install or set. */
  void advise(String format, Object... values) {
    advice.add("  - " + String.format(Locale.ROOT, format, values));
  }

  List<String> advice() {
    return List.copyOf(advice);
  }

  String render() {
    StringBuilder text = new StringBuilder("This machine\n");
    lines.forEach(line -> text.append(line).append('\n'));
    text.append(advice.isEmpty() ? "Nothing is missing\n" : "What would give more\n");
    advice.forEach(line -> text.append(line).append('\n'));
    return text.toString();
  }
}
