package dev.bulkgen.text.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Attributes, items and slices. */
final class Slices {
  private Slices() {}

  /** {@code value.name}: a method or attribute, else the item of that name. */
  static Object attribute(Run run, Object value, String name) {
    Operators.checkDefined(run, value);
    if (value instanceof LoopState loop) {
      return loop.attribute(run, name);
    }
    if (value instanceof Namespace namespace) {
      return namespace.attributes().containsKey(name)
          ? namespace.attributes().get(name)
          : Undefined.attribute(value, name);
    }
    Callable method = Methods.find(value, name);
    if (method != null) {
      return method;
    }
    if (value instanceof Macro macro && name.equals("name")) {
      return macro.name();
    }
    return value instanceof Map<?, ?> map && map.containsKey(name)
        ? map.get(name)
        : Undefined.attribute(value, name);
  }

  /** {@code value[key]}: the item, else the method or attribute of that name. */
  static Object item(Run run, Object value, Object key) {
    Operators.checkDefined(run, value);
    Operators.checkDefined(run, key);
    if (value instanceof Map<?, ?> map) {
      if (map.containsKey(key)) {
        return map.get(key);
      }
    } else if (Values.isInteger(key)) {
      return at(run, value, Values.toLong(key));
    }
    return key instanceof String name
        ? attribute(run, value, name)
        : Undefined.attribute(value, Values.str(run, key));
  }

  private static Object at(Run run, Object value, long index) {
    if (value instanceof List<?> list) {
      long i = index < 0 ? index + list.size() : index;
      return i >= 0 && i < list.size() ? list.get((int) i) : outOfRange(value, index);
    }
    if (value instanceof String text) {
      run.chargeFor(text);
      int length = PythonText.length(text);
      long i = index < 0 ? index + length : index;
      return i >= 0 && i < length
          ? Character.toString(text.codePointAt(text.offsetByCodePoints(0, (int) i)))
          : outOfRange(value, index);
    }
    return Undefined.attribute(value, index);
  }

  private static Undefined outOfRange(Object value, long index) {
    return new Undefined("'" + Values.typeName(value) + "' has no item " + index);
  }

  /** {@code value[start:stop:step]}; null bounds are open. */
  static Object slice(Run run, Object value, Object start, Object stop, Object step) {
    Operators.checkDefined(run, value);
    run.chargeFor(value);
    long stride = bound(run, step, 1);
    if (stride == 0) {
      throw run.error("the step of a slice is zero");
    }
    if (value instanceof String text) {
      int[] points = text.codePoints().toArray();
      StringBuilder out = new StringBuilder();
      for (int i : indices(run, points.length, start, stop, stride)) {
        out.appendCodePoint(points[i]);
      }
      return out.toString();
    }
    if (value instanceof List<?> list) {
      List<Object> out = new ArrayList<>();
      for (int i : indices(run, list.size(), start, stop, stride)) {
        out.add(list.get(i));
      }
      return value instanceof Tuple ? new Tuple(out) : out;
    }
    throw run.error("'%s' cannot be sliced", Values.typeName(value));
  }

  private static int[] indices(Run run, int length, Object start, Object stop, long step) {
    long low = step > 0 ? 0 : -1;
    long high = step > 0 ? length : length - 1;
    long from = clamp(bound(run, start, step > 0 ? low : high), start, length, low, high);
    long to = clamp(bound(run, stop, step > 0 ? high : low), stop, length, low, high);
    long count = step > 0 ? ceilDiv(to - from, step) : ceilDiv(from - to, -step);
    int[] result = new int[(int) Math.max(0, count)];
    for (int i = 0; i < result.length; i++) {
      result[i] = (int) (from + i * step);
    }
    return result;
  }

  private static long ceilDiv(long span, long step) {
    return span <= 0 ? 0 : (span - 1) / step + 1;
  }

  private static long clamp(long bound, Object given, int length, long low, long high) {
    long value = given != null && bound < 0 ? bound + length : bound;
    return Math.max(low, Math.min(high, value));
  }

  private static long bound(Run run, Object value, long otherwise) {
    if (value == null) {
      return otherwise;
    }
    if (Values.isInteger(value)) {
      return Math.max(-1L << 40, Math.min(1L << 40, Values.toLong(value)));
    }
    throw run.error("a slice needs whole numbers, not '%s'", Values.typeName(value));
  }
}
