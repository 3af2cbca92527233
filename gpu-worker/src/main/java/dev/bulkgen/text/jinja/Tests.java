package dev.bulkgen.text.jinja;

import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The tests behind {@code is}. */
final class Tests {
  @FunctionalInterface
  interface Function {
    boolean test(Run run, Object value, Arguments arguments);
  }

  private static final Map<String, Function> TESTS = new HashMap<>();

  static {
    TESTS.put("defined", (run, value, arguments) -> !(value instanceof Undefined));
    TESTS.put("undefined", (run, value, arguments) -> value instanceof Undefined);
    TESTS.put("none", (run, value, arguments) -> value == null);
    TESTS.put("boolean", (run, value, arguments) -> value instanceof Boolean);
    TESTS.put("true", (run, value, arguments) -> Boolean.TRUE.equals(value));
    TESTS.put("false", (run, value, arguments) -> Boolean.FALSE.equals(value));
    TESTS.put("string", (run, value, arguments) -> value instanceof String);
    TESTS.put("integer", (run, value, arguments) -> value instanceof Long);
    TESTS.put("float", (run, value, arguments) -> value instanceof Double);
    TESTS.put("number", (run, value, arguments) -> Values.isNumber(value));
    TESTS.put("mapping", (run, value, arguments) -> value instanceof Map<?, ?>);
    TESTS.put("callable", (run, value, arguments) -> value instanceof Callable);
    TESTS.put("iterable", (run, value, arguments) -> isCollection(value));
    TESTS.put("sequence", (run, value, arguments) -> isCollection(value));
    TESTS.put("odd", (run, value, arguments) -> remainder(run, value, 2) == 1);
    TESTS.put("even", (run, value, arguments) -> remainder(run, value, 2) == 0);
    TESTS.put(
        "divisibleby",
        (run, value, arguments) -> {
          Arguments.Bound bound = arguments.bind(run, "divisibleby", "num");
          bound.required("num");
          return remainder(run, value, bound.number("num", 1)) == 0;
        });
    TESTS.put(
        "lower",
        (run, value, arguments) ->
            Methods.find(text(run, value), "islower").call(run, arguments) == Boolean.TRUE);
    TESTS.put(
        "upper",
        (run, value, arguments) ->
            Methods.find(text(run, value), "isupper").call(run, arguments) == Boolean.TRUE);
    TESTS.put("filter", (run, value, arguments) -> Filters.find(text(run, value)) != null);
    TESTS.put("test", (run, value, arguments) -> find(text(run, value)) != null);
    TESTS.put("escaped", (run, value, arguments) -> false);
    TESTS.put("sameas", (run, value, arguments) -> sameAs(value, other(run, arguments)));
    comparison("in", "in");
    comparison("==", "eq", "equalto", "==");
    comparison("!=", "ne", "!=");
    comparison(">", "gt", "greaterthan", ">");
    comparison(">=", "ge", ">=");
    comparison("<", "lt", "lessthan", "<");
    comparison("<=", "le", "<=");
  }

  private Tests() {}

  private static void comparison(String operator, String... names) {
    for (String name : names) {
      TESTS.put(
          name,
          (run, value, arguments) ->
              Operators.compare(run, operator, value, other(run, arguments)));
    }
  }

  /** The test, or null where there is none of that name. */
  static Function find(String name) {
    return TESTS.get(name);
  }

  private static Object other(Run run, Arguments arguments) {
    return arguments.bind(run, "the test", "other").required("other");
  }

  private static boolean isCollection(Object value) {
    return value instanceof String
        || value instanceof List<?>
        || value instanceof Map<?, ?>
        || value instanceof Undefined;
  }

  private static boolean sameAs(Object value, Object other) {
    return value instanceof Boolean || value instanceof Long || value instanceof String
        ? value.equals(other)
        : value == other;
  }

  private static String text(Run run, Object value) {
    return Values.str(run, value);
  }

  private static long remainder(Run run, Object value, long divisor) {
    Object result = Operators.binary(run, "%", value, divisor);
    return result instanceof Double number ? Math.round(number) : Values.toLong(result);
  }
}
