package dev.bulkgen.text.jinja;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The filters behind {@code |}: Jinja's own, with {@code tojson} as chat templates know it. */
final class Filters {
  @FunctionalInterface
  interface Function {
    Object apply(Run run, Object value, Arguments arguments);
  }

  private static final Map<String, Function> FILTERS = new HashMap<>();

  static {
    FILTERS.put("tojson", JsonText::toJson);
    FILTERS.put("length", (run, value, arguments) -> length(run, value));
    FILTERS.put("count", (run, value, arguments) -> length(run, value));
    FILTERS.put("string", (run, value, arguments) -> Values.str(run, value));
    FILTERS.put("safe", (run, value, arguments) -> Values.str(run, value));
    FILTERS.put("forceescape", (run, value, arguments) -> escape(run, value));
    FILTERS.put("escape", (run, value, arguments) -> escape(run, value));
    FILTERS.put("e", (run, value, arguments) -> escape(run, value));
    FILTERS.put("default", Filters::defaultValue);
    FILTERS.put("d", Filters::defaultValue);
    FILTERS.put("trim", Filters::trim);
    FILTERS.put("upper", (run, value, a) -> Values.str(run, value).toUpperCase(Locale.ROOT));
    FILTERS.put("lower", (run, value, a) -> Values.str(run, value).toLowerCase(Locale.ROOT));
    FILTERS.put(
        "capitalize", (run, value, arguments) -> PythonText.capitalize(Values.str(run, value)));
    FILTERS.put("title", (run, value, arguments) -> title(Values.str(run, value)));
    FILTERS.put("replace", Filters::replace);
    FILTERS.put("indent", Filters::indent);
    FILTERS.put("wordcount", (run, value, a) -> wordCount(run, Values.str(run, value)));
    FILTERS.put("center", Filters::center);
    FILTERS.put("truncate", Filters::truncate);
    FILTERS.put("format", Filters::format);
    FILTERS.put("int", Filters::toInteger);
    FILTERS.put("float", Filters::toFloat);
    FILTERS.put("abs", (run, value, arguments) -> absolute(run, value));
    FILTERS.put("round", Filters::round);
    FILTERS.put("join", Filters::joinFilter);
    CollectionFilters.addTo(FILTERS);
  }

  private Filters() {}

  /** The filter, or null where there is none of that name. */
  static Function find(String name) {
    return FILTERS.get(name);
  }

  private static Object length(Run run, Object value) {
    if (value instanceof String text) {
      return (long) PythonText.length(text);
    }
    if (value instanceof Map<?, ?> map) {
      return (long) map.size();
    }
    if (value instanceof List<?> list) {
      return (long) list.size();
    }
    if (value instanceof Undefined) {
      return 0L;
    }
    throw run.error("'%s' has no length", Values.typeName(value));
  }

  private static String escape(Run run, Object value) {
    return Values.str(run, value)
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace("'", "&#39;")
        .replace("\"", "&#34;");
  }

  private static Object defaultValue(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "default", "default_value", "boolean");
    boolean absent = value instanceof Undefined || (bound.flag("boolean") && !Values.isTrue(value));
    return absent ? bound.optional("default_value", "") : value;
  }

  private static Object trim(Run run, Object value, Arguments arguments) {
    String characters = arguments.bind(run, "trim", "chars").text("chars", null);
    return PythonText.strip(Values.str(run, value), characters, true, true);
  }

  private static String title(String text) {
    return PythonText.title(
        text, point -> PythonText.isSpace(point) || "-([{<".indexOf(point) >= 0);
  }

  private static Object replace(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "replace", "old", "new", "count");
    return PythonText.replace(
        run,
        Values.str(run, value),
        Values.str(run, bound.required("old")),
        Values.str(run, bound.required("new")),
        bound.number("count", -1));
  }

  private static Object indent(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "indent", "width", "first", "blank");
    String indentation;
    if (bound.optional("width", null) instanceof String text) {
      indentation = text;
    } else {
      long width = Math.max(0, bound.number("width", 4));
      run.checkLength(width);
      indentation = " ".repeat((int) width);
    }
    List<Object> lines = PythonText.lines(Values.str(run, value) + "\n", false);
    StringBuilder out = new StringBuilder(bound.flag("first") ? indentation : "");
    for (int i = 0; i < lines.size(); i++) {
      String line = (String) lines.get(i);
      boolean indents = i > 0 && (bound.flag("blank") || !line.isEmpty());
      out.append(i > 0 ? "\n" : "").append(indents ? indentation : "").append(line);
      run.checkLength(out.length());
    }
    return out.toString();
  }

  private static long wordCount(Run run, String text) {
    return PythonText.split(run, text, null, -1).size();
  }

  private static Object center(Run run, Object value, Arguments arguments) {
    String text = Values.str(run, value);
    long missing = arguments.bind(run, "center", "width").number("width", 80);
    missing = Math.max(0, missing - PythonText.length(text));
    run.checkLength(missing);
    int left = (int) (missing / 2 + (missing & (missing + PythonText.length(text)) & 1));
    return " ".repeat(left) + text + " ".repeat((int) missing - left);
  }

  private static Object truncate(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "truncate", "length", "killwords", "end", "leeway");
    String text = Values.str(run, value);
    String end = bound.text("end", "...");
    long length = bound.number("length", 255);
    if (PythonText.length(text) <= length + bound.number("leeway", 5)) {
      return text;
    }
    long keep = Math.max(0, length - PythonText.length(end));
    String cut = text.substring(0, text.offsetByCodePoints(0, (int) keep));
    int space = cut.lastIndexOf(' ');
    return (bound.flag("killwords") || space < 0 ? cut : cut.substring(0, space)) + end;
  }

  private static Object format(Run run, Object value, Arguments arguments) {
    Object values =
        arguments.keywords().isEmpty() ? new Tuple(arguments.positional()) : arguments.keywords();
    return TextFormat.percent(run, Values.str(run, value), values);
  }

  private static Object toInteger(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "int", "default", "base");
    Object otherwise = bound.optional("default", 0L);
    try {
      if (value instanceof Double number) {
        return Double.isFinite(number) ? (Object) number.longValue() : otherwise;
      }
      if (value instanceof String text) {
        String digits = text.strip().replace("_", "");
        int base = (int) Math.max(2, Math.min(36, bound.number("base", 10)));
        digits = base == 16 ? digits.replaceFirst("^([-+]?)0[xX]", "$1") : digits;
        boolean decimal = base == 10 && digits.matches("[-+]?\\d*\\.\\d*(e[-+]?\\d{1,3})?");
        return decimal ? (long) Double.parseDouble(digits) : Long.parseLong(digits, base);
      }
    } catch (NumberFormatException e) {
      return otherwise;
    }
    return Values.isInteger(value) ? (Object) Values.toLong(value) : otherwise;
  }

  private static Object toFloat(Run run, Object value, Arguments arguments) {
    Object otherwise = arguments.bind(run, "float", "default").optional("default", 0.0);
    if (value instanceof String text) {
      try {
        return Double.parseDouble(text.strip());
      } catch (NumberFormatException e) {
        return otherwise;
      }
    }
    return Values.isNumber(value) ? (Object) Values.toDouble(value) : otherwise;
  }

  private static Object absolute(Run run, Object value) {
    boolean negative = Operators.order(run, value, 0L) < 0;
    return negative ? Operators.negate(run, value) : value;
  }

  private static Object round(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "round", "precision", "method");
    if (!Values.isNumber(value)) {
      throw run.error("round needs a number, not '%s'", Values.typeName(value));
    }
    double number = Values.toDouble(value);
    if (!Double.isFinite(number)) {
      return number;
    }
    RoundingMode mode =
        switch (bound.text("method", "common")) {
          case "common" -> RoundingMode.HALF_EVEN;
          case "ceil" -> RoundingMode.CEILING;
          case "floor" -> RoundingMode.FLOOR;
          default -> throw run.error("round knows the methods common, ceil and floor");
        };
    int digits = (int) Math.max(-400, Math.min(400, bound.number("precision", 0)));
    return new BigDecimal(number).setScale(digits, mode).doubleValue();
  }

  private static Object joinFilter(Run run, Object value, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "join", "d", "attribute");
    Object items = value;
    if (bound.has("attribute")) {
      Object path = bound.required("attribute");
      items =
          Values.items(run, value).stream()
              .map(item -> CollectionFilters.attribute(run, item, path))
              .toList();
    }
    return join(run, items, Values.str(run, bound.optional("d", "")));
  }

  static String join(Run run, Object items, String separator) {
    StringBuilder out = new StringBuilder();
    boolean first = true;
    for (Object item : Values.items(run, items)) {
      out.append(first ? "" : separator).append(Values.str(run, item));
      run.checkLength(out.length());
      first = false;
    }
    return out.toString();
  }
}
