package dev.bulkgen.text.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Arithmetic, comparison and membership as Python defines them. */
final class Operators {
  private Operators() {}

  static Object binary(Run run, String operator, Object left, Object right) {
    checkDefined(run, left);
    checkDefined(run, right);
    if (operator.equals("%") && left instanceof String format) {
      return TextFormat.percent(run, format, right);
    }
    if (operator.equals("+") && !Values.isNumber(left)) {
      return concatenate(run, left, right);
    }
    if (operator.equals("*") && (isSequence(left) || isSequence(right))) {
      return isSequence(left) ? repeat(run, left, right) : repeat(run, right, left);
    }
    if (!Values.isNumber(left) || !Values.isNumber(right)) {
      throw unsupported(run, operator, left, right);
    }
    try {
      return left instanceof Double || right instanceof Double || operator.equals("/")
          ? floats(run, operator, Values.toDouble(left), Values.toDouble(right))
          : integers(run, operator, Values.toLong(left), Values.toLong(right));
    } catch (ArithmeticException e) {
      throw run.error("'%s' overflows 64 bits", operator);
    }
  }

  private static Object integers(Run run, String operator, long left, long right) {
    switch (operator) {
      case "+":
        return Math.addExact(left, right);
      case "-":
        return Math.subtractExact(left, right);
      case "*":
        return Math.multiplyExact(left, right);
      case "//":
        checkDivisor(run, right);
        return Math.floorDiv(left, right);
      case "%":
        checkDivisor(run, right);
        return Math.floorMod(left, right);
      default:
        if (right < 0) {
          return Math.pow(left, right);
        }
        return power(left, right);
    }
  }

  private static long power(long base, long exponent) {
    if (base == 0 || base == 1) {
      return exponent == 0 ? 1 : base;
    }
    if (base == -1) {
      return exponent % 2 == 0 ? 1 : -1;
    }
    long result = 1;
    for (long i = 0; i < exponent; i++) {
      result = Math.multiplyExact(result, base);
    }
    return result;
  }

  private static Object floats(Run run, String operator, double left, double right) {
    switch (operator) {
      case "+":
        return left + right;
      case "-":
        return left - right;
      case "*":
        return left * right;
      case "**":
        return Math.pow(left, right);
      default:
        checkDivisor(run, right);
        if (operator.equals("/")) {
          return left / right;
        }
        double remainder = left % right;
        if (remainder != 0 && (remainder < 0) != (right < 0)) {
          remainder += right;
        }
        return operator.equals("%") ? remainder : Math.floor((left - remainder) / right + 0.5);
    }
  }

  private static void checkDivisor(Run run, double divisor) {
    if (divisor == 0) {
      throw run.error("division by zero");
    }
  }

  private static Object concatenate(Run run, Object left, Object right) {
    if (left instanceof String first && right instanceof String second) {
      run.checkLength((long) first.length() + second.length());
      return first + second;
    }
    boolean tuples = left instanceof Tuple && right instanceof Tuple;
    boolean lists = isPlainList(left) && isPlainList(right);
    if (!tuples && !lists) {
      throw unsupported(run, "+", left, right);
    }
    List<Object> joined = new ArrayList<>((List<?>) left);
    joined.addAll((List<?>) right);
    return tuples ? new Tuple(joined) : joined;
  }

  private static Object repeat(Run run, Object sequence, Object times) {
    if (!Values.isInteger(times)) {
      throw unsupported(run, "*", sequence, times);
    }
    long count = Math.max(0, Values.toLong(times));
    long size = sequence instanceof String text ? text.length() : ((List<?>) sequence).size();
    if (size == 0 || count == 0) {
      count = 0;
    } else if (count > Integer.MAX_VALUE / size) {
      throw run.error("'*' makes a sequence of %d times %d items", count, size);
    }
    run.checkLength(size * count);
    if (sequence instanceof String text) {
      return text.repeat((int) count);
    }
    run.charge(size * count);
    List<Object> items = new ArrayList<>();
    for (long i = 0; i < count; i++) {
      items.addAll((List<?>) sequence);
    }
    return sequence instanceof Tuple ? new Tuple(items) : items;
  }

  private static boolean isPlainList(Object value) {
    return value instanceof List<?> && !(value instanceof Tuple);
  }

  private static boolean isSequence(Object value) {
    return value instanceof String || value instanceof List<?>;
  }

  static Object negate(Run run, Object value) {
    checkDefined(run, value);
    if (value instanceof Double number) {
      return -number;
    }
    if (Values.isInteger(value)) {
      return binary(run, "-", 0L, value);
    }
    throw run.error("'-' does not work on '%s'", Values.typeName(value));
  }

  static boolean compare(Run run, String operator, Object left, Object right) {
    switch (operator) {
      case "==":
        return equal(run, left, right, 0);
      case "!=":
        return !equal(run, left, right, 0);
      case "in":
        return contains(run, right, left);
      case "not in":
        return !contains(run, right, left);
      case "<":
        return order(run, left, right) < 0;
      case "<=":
        return order(run, left, right) <= 0;
      case ">":
        return order(run, right, left) < 0;
      default:
        return order(run, right, left) <= 0;
    }
  }

  static boolean equal(Run run, Object left, Object right) {
    return equal(run, left, right, 0);
  }

  private static boolean equal(Run run, Object left, Object right, int depth) {
    run.charge(1);
    if (depth > run.maxDepth()) {
      throw run.error("the data nest deeper than %d", run.maxDepth());
    }
    if (left == null || right == null) {
      return left == right;
    }
    if (Values.isNumber(left) && Values.isNumber(right)) {
      return Values.isInteger(left) && Values.isInteger(right)
          ? Values.toLong(left) == Values.toLong(right)
          : Values.toDouble(left) == Values.toDouble(right);
    }
    if (left instanceof String text) {
      run.chargeFor(text);
      return text.equals(right);
    }
    if (left instanceof Undefined) {
      return right instanceof Undefined;
    }
    if (left instanceof List<?> first && right instanceof List<?> second) {
      if (first.size() != second.size() || left instanceof Tuple != right instanceof Tuple) {
        return false;
      }
      for (int i = 0; i < first.size(); i++) {
        if (!equal(run, first.get(i), second.get(i), depth + 1)) {
          return false;
        }
      }
      return true;
    }
    if (left instanceof Map<?, ?> first && right instanceof Map<?, ?> second) {
      if (first.size() != second.size()) {
        return false;
      }
      for (Map.Entry<?, ?> entry : first.entrySet()) {
        if (!second.containsKey(entry.getKey())
            || !equal(run, entry.getValue(), second.get(entry.getKey()), depth + 1)) {
          return false;
        }
      }
      return true;
    }
    return left == right;
  }

  static boolean contains(Run run, Object container, Object item) {
    run.chargeFor(container);
    if (container instanceof String text) {
      if (!(item instanceof String part)) {
        throw run.error(
            "'in <string>' needs a string on its left, not '%s'", Values.typeName(item));
      }
      return text.contains(part);
    }
    if (container instanceof Map<?, ?> map) {
      return map.containsKey(item);
    }
    if (container instanceof List<?> list) {
      for (Object element : list) {
        if (equal(run, element, item, 0)) {
          return true;
        }
      }
      return false;
    }
    if (container instanceof Undefined) {
      return false;
    }
    throw run.error("'%s' is not iterable", Values.typeName(container));
  }

  /** Below zero where {@code left} sorts first. */
  static int order(Run run, Object left, Object right) {
    run.charge(1);
    if (Values.isNumber(left) && Values.isNumber(right)) {
      return left instanceof Double || right instanceof Double
          ? Double.compare(Values.toDouble(left), Values.toDouble(right))
          : Long.compare(Values.toLong(left), Values.toLong(right));
    }
    if (left instanceof String first && right instanceof String second) {
      run.chargeFor(first);
      return PythonText.compare(first, second);
    }
    if (left instanceof List<?> first && right instanceof List<?> second) {
      run.enter();
      int common = Math.min(first.size(), second.size());
      int result = Integer.compare(first.size(), second.size());
      for (int i = 0; i < common; i++) {
        if (!equal(run, first.get(i), second.get(i), 0)) {
          result = order(run, first.get(i), second.get(i));
          break;
        }
      }
      run.leave();
      return result;
    }
    checkDefined(run, left);
    checkDefined(run, right);
    throw run.error("'%s' and '%s' have no order", Values.typeName(left), Values.typeName(right));
  }

  static void checkDefined(Run run, Object value) {
    if (value instanceof Undefined undefined) {
      throw run.error("%s", undefined.problem());
    }
  }

  private static RuntimeException unsupported(Run run, String operator, Object left, Object right) {
    return run.error(
        "'%s' does not work on '%s' and '%s'",
        operator, Values.typeName(left), Values.typeName(right));
  }
}
