package dev.bulkgen.text.jinja;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The {@code tojson} filter as chat templates know it: Python's {@code json.dumps}. */
final class JsonText {
  private final Run run;
  private final boolean ascii;
  private final String indent;
  private final String itemSeparator;
  private final String keySeparator;
  private final boolean sorted;
  private final StringBuilder out = new StringBuilder();

  private JsonText(Run run, Arguments.Bound bound) {
    this.run = run;
    this.ascii = bound.flag("ensure_ascii");
    Object indentation = bound.optional("indent", null);
    if (indentation instanceof String text) {
      this.indent = text;
    } else {
      long width = bound.number("indent", -1);
      run.checkLength(width);
      this.indent = width < 0 ? null : " ".repeat((int) width);
    }
    Object separators = bound.optional("separators", null);
    List<Object> pair =
        separators == null
            ? List.of(indent == null ? ", " : ",", ": ")
            : Values.items(run, separators);
    if (pair.size() != 2) {
      throw run.error("tojson needs two separators");
    }
    this.itemSeparator = Values.str(run, pair.get(0));
    this.keySeparator = Values.str(run, pair.get(1));
    this.sorted = bound.flag("sort_keys");
  }

  static Object toJson(Run run, Object value, Arguments arguments) {
    JsonText json =
        new JsonText(
            run,
            arguments.bind(run, "tojson", "ensure_ascii", "indent", "separators", "sort_keys"));
    json.write(value, 0);
    return json.out.toString();
  }

  private void write(Object value, int depth) {
    run.charge(1);
    run.checkLength(out.length());
    if (depth > run.maxDepth()) {
      throw run.error("the data nest deeper than %d", run.maxDepth());
    }
    if (value == null) {
      out.append("null");
    } else if (value instanceof Boolean || value instanceof Long) {
      out.append(value);
    } else if (value instanceof Double number) {
      out.append(floatText(number));
    } else if (value instanceof String text) {
      writeString(text);
    } else if (value instanceof List<?> list) {
      out.append('[');
      for (int i = 0; i < list.size(); i++) {
        startItem(i, depth);
        write(list.get(i), depth + 1);
      }
      endItems(list.isEmpty(), depth).append(']');
    } else if (value instanceof Map<?, ?> map) {
      writeMap(map, depth);
    } else {
      Operators.checkDefined(run, value);
      throw run.error("'%s' cannot be written as JSON", Values.typeName(value));
    }
  }

  private static String floatText(double number) {
    if (Double.isNaN(number)) {
      return "NaN";
    }
    return Double.isInfinite(number)
        ? (number > 0 ? "Infinity" : "-Infinity")
        : Values.floatText(number);
  }

  private void writeMap(Map<?, ?> map, int depth) {
    Map<?, ?> ordered = map;
    if (sorted) {
      TreeMap<Object, Object> tree = new TreeMap<>((a, b) -> Operators.order(run, a, b));
      tree.putAll(map);
      ordered = tree;
    }
    out.append('{');
    int count = 0;
    for (Map.Entry<?, ?> entry : ordered.entrySet()) {
      startItem(count++, depth);
      Object key = entry.getKey();
      if (key instanceof String text) {
        writeString(text);
      } else {
        out.append('"');
        write(key, depth + 1);
        out.append('"');
      }
      out.append(keySeparator);
      write(entry.getValue(), depth + 1);
    }
    endItems(map.isEmpty(), depth).append('}');
  }

  private void startItem(int index, int depth) {
    out.append(index > 0 ? itemSeparator : "");
    newLine(depth + 1);
  }

  private StringBuilder endItems(boolean empty, int depth) {
    if (!empty) {
      newLine(depth);
    }
    return out;
  }

  private void newLine(int depth) {
    if (indent != null) {
      run.checkLength((long) indent.length() * depth);
      out.append('\n').append(indent.repeat(depth));
    }
  }

  private void writeString(String text) {
    run.chargeFor(text);
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"' -> out.append("\\\"");
        case '\\' -> out.append("\\\\");
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\b' -> out.append("\\b");
        case '\f' -> out.append("\\f");
        default -> {
          if (c < 0x20 || (ascii && c > 0x7e)) {
            out.append(String.format("\\u%04x", (int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append('"');
  }
}
