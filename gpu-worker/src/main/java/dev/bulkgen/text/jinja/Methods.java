package dev.bulkgen.text.jinja;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The methods of strings, lists and dicts that read. Those that change a value are absent, as in
 * Jinja2's immutable sandbox, which is what chat templates are written for.
 */
final class Methods {
  /** A method of a value of type {@code T}. */
  @FunctionalInterface
  private interface Method<T> {
    Object call(Run run, T self, Arguments arguments);
  }

  private static final Map<String, Method<String>> TEXT = new HashMap<>();
  private static final Map<String, Method<Map<?, ?>>> DICT = new HashMap<>();
  private static final Map<String, Method<List<?>>> LIST = new HashMap<>();

  static {
    TEXT.put("strip", (run, self, arguments) -> strip(run, self, arguments, true, true));
    TEXT.put("lstrip", (run, self, arguments) -> strip(run, self, arguments, true, false));
    TEXT.put("rstrip", (run, self, arguments) -> strip(run, self, arguments, false, true));
    TEXT.put("upper", (run, self, arguments) -> self.toUpperCase(Locale.ROOT));
    TEXT.put("lower", (run, self, arguments) -> self.toLowerCase(Locale.ROOT));
    TEXT.put("casefold", (run, self, arguments) -> self.toLowerCase(Locale.ROOT));
    TEXT.put("capitalize", (run, self, arguments) -> PythonText.capitalize(self));
    TEXT.put(
        "title",
        (run, self, arguments) -> PythonText.title(self, point -> !Character.isLetter(point)));
    TEXT.put("split", Methods::split);
    TEXT.put("rsplit", Methods::splitRight);
    TEXT.put(
        "splitlines",
        (run, self, arguments) ->
            PythonText.lines(self, arguments.bind(run, "splitlines", "keepends").flag("keepends")));
    TEXT.put("partition", (run, self, arguments) -> partition(run, self, arguments, false));
    TEXT.put("rpartition", (run, self, arguments) -> partition(run, self, arguments, true));
    TEXT.put("startswith", (run, self, arguments) -> hasEdge(run, self, arguments, true));
    TEXT.put("endswith", (run, self, arguments) -> hasEdge(run, self, arguments, false));
    TEXT.put("replace", Methods::replace);
    TEXT.put("find", (run, self, arguments) -> find(run, self, arguments, false));
    TEXT.put("rfind", (run, self, arguments) -> find(run, self, arguments, true));
    TEXT.put("index", Methods::index);
    TEXT.put("count", Methods::count);
    TEXT.put("join", (run, self, arguments) -> Filters.join(run, list(run, arguments), self));
    TEXT.put("format", TextFormat::braces);
    TEXT.put("removeprefix", (run, self, arguments) -> remove(run, self, arguments, true));
    TEXT.put("removesuffix", (run, self, arguments) -> remove(run, self, arguments, false));
    TEXT.put("zfill", Methods::zeroFill);
    TEXT.put("ljust", (run, self, arguments) -> justify(run, self, arguments, false));
    TEXT.put("rjust", (run, self, arguments) -> justify(run, self, arguments, true));
    TEXT.put("isdigit", (run, self, arguments) -> PythonText.all(self, Character::isDigit));
    TEXT.put("isnumeric", (run, self, arguments) -> PythonText.all(self, Character::isDigit));
    TEXT.put("isalpha", (run, self, arguments) -> PythonText.all(self, Character::isLetter));
    TEXT.put("isalnum", (run, self, arguments) -> PythonText.all(self, Character::isLetterOrDigit));
    TEXT.put("isspace", (run, self, arguments) -> PythonText.all(self, PythonText::isSpace));
    TEXT.put(
        "isupper",
        (run, self, arguments) ->
            self.equals(self.toUpperCase(Locale.ROOT))
                && !self.equals(self.toLowerCase(Locale.ROOT)));
    TEXT.put(
        "islower",
        (run, self, arguments) ->
            self.equals(self.toLowerCase(Locale.ROOT))
                && !self.equals(self.toUpperCase(Locale.ROOT)));
    DICT.put("get", Methods::get);
    DICT.put("items", (run, self, arguments) -> entries(self));
    DICT.put("keys", (run, self, arguments) -> new ArrayList<Object>(self.keySet()));
    DICT.put("values", (run, self, arguments) -> new ArrayList<Object>(self.values()));
    DICT.put("copy", (run, self, arguments) -> new LinkedHashMap<Object, Object>(self));
    LIST.put("index", Methods::indexInList);
    LIST.put("count", Methods::countInList);
    LIST.put("copy", (run, self, arguments) -> new ArrayList<Object>(self));
  }

  private Methods() {}

  /** The method bound to the value, or null where its type has none of that name. */
  static Callable find(Object value, String name) {
    if (value instanceof String text) {
      return bind(TEXT.get(name), text);
    }
    if (value instanceof Map<?, ?> map) {
      return bind(DICT.get(name), map);
    }
    return value instanceof List<?> list ? bind(LIST.get(name), list) : null;
  }

  private static <T> Callable bind(Method<T> method, T self) {
    if (method == null) {
      return null;
    }
    return (run, arguments) -> {
      run.chargeFor(self);
      return method.call(run, self, arguments);
    };
  }

  private static Object strip(
      Run run, String self, Arguments arguments, boolean left, boolean right) {
    return PythonText.strip(
        self, arguments.bind(run, "strip", "chars").text("chars", null), left, right);
  }

  private static Object split(Run run, String self, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "split", "sep", "maxsplit");
    return PythonText.split(run, self, bound.text("sep", null), bound.number("maxsplit", -1));
  }

  private static Object splitRight(Run run, String self, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "rsplit", "sep", "maxsplit");
    return PythonText.splitRight(run, self, bound.text("sep", null), bound.number("maxsplit", -1));
  }

  private static Object partition(Run run, String self, Arguments arguments, boolean last) {
    String separator = arguments.bind(run, "partition", "sep").requiredText("sep");
    PythonText.checkSeparator(run, separator);
    int at = last ? self.lastIndexOf(separator) : self.indexOf(separator);
    if (at < 0) {
      return last ? Tuple.of("", "", self) : Tuple.of(self, "", "");
    }
    return Tuple.of(self.substring(0, at), separator, self.substring(at + separator.length()));
  }

  private static Object hasEdge(Run run, String self, Arguments arguments, boolean start) {
    Object edges = arguments.bind(run, "startswith or endswith", "edge").required("edge");
    List<?> choices = edges instanceof Tuple tuple ? tuple : List.of(text(run, edges));
    for (Object choice : choices) {
      String edge = text(run, choice);
      if (start ? self.startsWith(edge) : self.endsWith(edge)) {
        return true;
      }
    }
    return false;
  }

  private static String text(Run run, Object value) {
    if (value instanceof String text) {
      return text;
    }
    throw run.error("a string is needed, not '%s'", Values.typeName(value));
  }

  private static Object replace(Run run, String self, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "replace", "old", "new", "count");
    return PythonText.replace(
        run, self, bound.requiredText("old"), bound.requiredText("new"), bound.number("count", -1));
  }

  private static Object find(Run run, String self, Arguments arguments, boolean last) {
    String part = arguments.bind(run, "find", "sub").requiredText("sub");
    int at = last ? self.lastIndexOf(part) : self.indexOf(part);
    return at < 0 ? -1L : (long) self.codePointCount(0, at);
  }

  private static Object index(Run run, String self, Arguments arguments) {
    Object at = find(run, self, arguments, false);
    if (at.equals(-1L)) {
      throw run.error("the substring is not found");
    }
    return at;
  }

  private static Object count(Run run, String self, Arguments arguments) {
    String part = arguments.bind(run, "count", "sub").requiredText("sub");
    if (part.isEmpty()) {
      return PythonText.length(self) + 1L;
    }
    long count = 0;
    for (int at = self.indexOf(part); at >= 0; at = self.indexOf(part, at + part.length())) {
      count++;
    }
    return count;
  }

  private static Object list(Run run, Arguments arguments) {
    return arguments.bind(run, "join", "iterable").required("iterable");
  }

  private static Object remove(Run run, String self, Arguments arguments, boolean prefix) {
    String edge = arguments.bind(run, "removeprefix or removesuffix", "edge").requiredText("edge");
    if (prefix) {
      return self.startsWith(edge) ? self.substring(edge.length()) : self;
    }
    return self.endsWith(edge) ? self.substring(0, self.length() - edge.length()) : self;
  }

  private static Object zeroFill(Run run, String self, Arguments arguments) {
    String padding = padding(run, self, arguments.bind(run, "zfill", "width"), "0");
    boolean signed = self.startsWith("-") || self.startsWith("+");
    return signed ? self.charAt(0) + padding + self.substring(1) : padding + self;
  }

  private static Object justify(Run run, String self, Arguments arguments, boolean right) {
    Arguments.Bound bound = arguments.bind(run, "ljust or rjust", "width", "fillchar");
    String padding = padding(run, self, bound, bound.text("fillchar", " "));
    return right ? padding + self : self + padding;
  }

  private static String padding(Run run, String self, Arguments.Bound bound, String fill) {
    bound.required("width");
    long count = Math.max(0, bound.number("width", 0) - PythonText.length(self));
    run.checkLength(count);
    return fill.repeat((int) count);
  }

  private static Object get(Run run, Map<?, ?> self, Arguments arguments) {
    Arguments.Bound bound = arguments.bind(run, "get", "key", "default");
    Object key = bound.required("key");
    return self.containsKey(key) ? self.get(key) : bound.optional("default", null);
  }

  static List<Object> entries(Map<?, ?> map) {
    List<Object> entries = new ArrayList<>(map.size());
    map.forEach((key, value) -> entries.add(Tuple.of(key, value)));
    return entries;
  }

  private static Object indexInList(Run run, List<?> self, Arguments arguments) {
    Object item = arguments.bind(run, "index", "value").required("value");
    for (int i = 0; i < self.size(); i++) {
      if (Operators.equal(run, self.get(i), item)) {
        return (long) i;
      }
    }
    throw run.error("the value is not in the list");
  }

  private static Object countInList(Run run, List<?> self, Arguments arguments) {
    Object item = arguments.bind(run, "count", "value").required("value");
    return self.stream().filter(element -> Operators.equal(run, element, item)).count();
  }
}
