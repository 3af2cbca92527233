package dev.bulkgen.text.jinja;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The values of a template and what Python does with them. A value is null (none), a Boolean, Long,
 * Double, String, List, {@link Tuple}, Map, {@link Namespace}, {@link Callable}, {@link LoopState}
 * or {@link Undefined}, and nothing else: no other Java object ever gets in.
 */
final class Values {
  private Values() {}

  /**
   * Copies data from outside: null, booleans, numbers of 64 bits, strings, and lists and maps of
   * them.
   *
   * @throws dev.bulkgen.error.BulkgenException TEMPLATE_FAILED for any other type or data that nest
   *     too deep
   */
  static Object fromJava(Run run, Object value, int depth) {
    if (depth > run.maxDepth()) {
      throw run.error("the data nest deeper than %d", run.maxDepth());
    }
    if (value == null || value instanceof Boolean || value instanceof String) {
      return value;
    }
    if (value instanceof Double || value instanceof Float || value instanceof BigDecimal) {
      return ((Number) value).doubleValue();
    }
    if (value instanceof Number number && !(value instanceof BigInteger)) {
      return number.longValue();
    }
    if (value instanceof List<?> list) {
      List<Object> copy = new ArrayList<>(list.size());
      for (Object item : list) {
        copy.add(fromJava(run, item, depth + 1));
      }
      return copy;
    }
    if (value instanceof Map<?, ?> map) {
      Map<Object, Object> copy = new LinkedHashMap<>();
      map.forEach((key, item) -> copy.put(String.valueOf(key), fromJava(run, item, depth + 1)));
      return copy;
    }
    throw run.error("a value of the type %s cannot be used", value.getClass().getSimpleName());
  }

  static boolean isTrue(Object value) {
    if (value == null || value instanceof Undefined) {
      return false;
    }
    if (value instanceof Boolean bool) {
      return bool;
    }
    if (value instanceof Long number) {
      return number != 0;
    }
    if (value instanceof Double number) {
      return number != 0;
    }
    if (value instanceof String text) {
      return !text.isEmpty();
    }
    if (value instanceof List<?> list) {
      return !list.isEmpty();
    }
    return !(value instanceof Map<?, ?> map) || !map.isEmpty();
  }

  static boolean isNumber(Object value) {
    return value instanceof Long || value instanceof Double || value instanceof Boolean;
  }

  static boolean isInteger(Object value) {
    return value instanceof Long || value instanceof Boolean;
  }

  static long toLong(Object value) {
    return value instanceof Boolean bool ? (bool ? 1 : 0) : (Long) value;
  }

  static double toDouble(Object value) {
    return value instanceof Double number ? number : (double) toLong(value);
  }

  /** Python's name of the type. */
  static String typeName(Object value) {
    if (value == null) {
      return "none";
    }
    if (value instanceof Boolean) {
      return "bool";
    }
    if (value instanceof Long) {
      return "int";
    }
    if (value instanceof Double) {
      return "float";
    }
    if (value instanceof String) {
      return "str";
    }
    if (value instanceof Tuple) {
      return "tuple";
    }
    if (value instanceof List<?>) {
      return "list";
    }
    if (value instanceof Map<?, ?>) {
      return "dict";
    }
    if (value instanceof Namespace) {
      return "namespace";
    }
    if (value instanceof LoopState) {
      return "loop";
    }
    return value instanceof Undefined ? "undefined" : "function";
  }

  /** Python's {@code str}: what an output tag prints. */
  static String str(Run run, Object value) {
    if (value instanceof String text) {
      return text;
    }
    StringBuilder out = new StringBuilder();
    if (!(value instanceof Undefined)) {
      appendRepr(run, out, value, 0);
    }
    return out.toString();
  }

  static String repr(Run run, Object value) {
    StringBuilder out = new StringBuilder();
    appendRepr(run, out, value, 0);
    return out.toString();
  }

  private static void appendRepr(Run run, StringBuilder out, Object value, int depth) {
    run.charge(1);
    run.checkLength(out.length());
    if (depth > run.maxDepth()) {
      throw run.error("the data nest deeper than %d", run.maxDepth());
    }
    if (value == null) {
      out.append("None");
    } else if (value instanceof Boolean bool) {
      out.append(bool ? "True" : "False");
    } else if (value instanceof Double number) {
      out.append(floatText(number));
    } else if (value instanceof String text) {
      run.chargeFor(text);
      appendQuoted(out, text);
    } else if (value instanceof Map<?, ?> map) {
      String separator = "{";
      for (Map.Entry<?, ?> entry : map.entrySet()) {
        out.append(separator);
        appendRepr(run, out, entry.getKey(), depth + 1);
        out.append(": ");
        appendRepr(run, out, entry.getValue(), depth + 1);
        separator = ", ";
      }
      out.append(map.isEmpty() ? "{}" : "}");
    } else if (value instanceof List<?> list) {
      boolean tuple = value instanceof Tuple;
      out.append(tuple ? '(' : '[');
      for (int i = 0; i < list.size(); i++) {
        out.append(i > 0 ? ", " : "");
        appendRepr(run, out, list.get(i), depth + 1);
      }
      out.append(tuple && list.size() == 1 ? "," : "").append(tuple ? ')' : ']');
    } else if (value instanceof Undefined) {
      out.append("Undefined");
    } else {
      out.append(value instanceof Long ? value.toString() : "<" + typeName(value) + ">");
    }
  }

  private static void appendQuoted(StringBuilder out, String text) {
    char quote = text.indexOf('\'') >= 0 && text.indexOf('"') < 0 ? '"' : '\'';
    out.append(quote);
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '\n' -> out.append("\\n");
        case '\r' -> out.append("\\r");
        case '\t' -> out.append("\\t");
        case '\\' -> out.append("\\\\");
        default -> {
          if (c == quote) {
            out.append('\\').append(c);
          } else if (c < 0x20 || (c >= 0x7f && c < 0xa1) || c == 0xad) {
            out.append(String.format("\\x%02x", (int) c));
          } else {
            out.append(c);
          }
        }
      }
    }
    out.append(quote);
  }

  /** The shortest decimal that reads back as the same number, laid out as Python does. */
  static String floatText(double number) {
    if (Double.isNaN(number)) {
      return "nan";
    }
    if (Double.isInfinite(number)) {
      return number > 0 ? "inf" : "-inf";
    }
    if (number == 0) {
      return 1 / number > 0 ? "0.0" : "-0.0";
    }
    BigDecimal shortest = new BigDecimal(number);
    for (int digits = 1; digits <= 17; digits++) {
      BigDecimal rounded = new BigDecimal(number).round(new MathContext(digits));
      if (rounded.doubleValue() == number) {
        shortest = rounded;
        break;
      }
    }
    String digits = shortest.unscaledValue().abs().toString();
    int exponent = digits.length() - shortest.scale() - 1;
    if (exponent >= -4 && exponent < 16) {
      String plain = shortest.stripTrailingZeros().toPlainString();
      return plain.indexOf('.') < 0 ? plain + ".0" : plain;
    }
    String mantissa = digits.replaceFirst("0+$", "");
    mantissa = mantissa.length() > 1 ? mantissa.charAt(0) + "." + mantissa.substring(1) : mantissa;
    String sign = exponent < 0 ? "-" : "+";
    int magnitude = Math.abs(exponent);
    return (number < 0 ? "-" : "")
        + mantissa
        + "e"
        + sign
        + (magnitude < 10 ? "0" : "")
        + magnitude;
  }

  /** The items a loop or filter runs over: of a list, the keys of a map, the characters of text. */
  static List<Object> items(Run run, Object value) {
    if (value instanceof Undefined) {
      return List.of();
    }
    run.chargeFor(value);
    if (value instanceof List<?> list) {
      return new ArrayList<>(list);
    }
    if (value instanceof Map<?, ?> map) {
      return new ArrayList<>(map.keySet());
    }
    if (value instanceof String text) {
      run.charge(text.length());
      List<Object> characters = new ArrayList<>();
      text.codePoints().forEach(point -> characters.add(Character.toString(point)));
      return characters;
    }
    throw run.error("'%s' is not iterable", typeName(value));
  }

  static Object checkKey(Run run, Object key) {
    if (key instanceof String || key == null || isNumber(key)) {
      return key;
    }
    throw run.error("'%s' cannot be the key of a dict", typeName(key));
  }
}
