package dev.bulkgen.text.jinja;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.time.LocalDateTime;
import java.time.format.DateTimeFormatter;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The three ways in which templates format text: {@code %}, {@code str.format}, strftime. */
final class TextFormat {
  private static final Pattern CONVERSION =
      Pattern.compile("%(?:\\((\\w+)\\))?([-0+ ]{0,4})(\\d{0,4})(?:\\.(\\d{1,2}))?([sdifrx%])");
  private static final Pattern FIELD =
      Pattern.compile("\\{\\{|}}|\\{(\\w*)(?::(0?)(\\d{0,4})(?:\\.(\\d{1,2}))?([dfs]?))?}");

  private static final Map<Character, String> DATE_PATTERNS =
      Map.ofEntries(
          Map.entry('Y', "yyyy"),
          Map.entry('y', "yy"),
          Map.entry('m', "MM"),
          Map.entry('d', "dd"),
          Map.entry('e', "ppd"),
          Map.entry('B', "MMMM"),
          Map.entry('b', "MMM"),
          Map.entry('h', "MMM"),
          Map.entry('A', "EEEE"),
          Map.entry('a', "EEE"),
          Map.entry('H', "HH"),
          Map.entry('I', "hh"),
          Map.entry('M', "mm"),
          Map.entry('S', "ss"),
          Map.entry('p', "a"),
          Map.entry('j', "DDD"),
          Map.entry('F', "yyyy-MM-dd"),
          Map.entry('T', "HH:mm:ss"),
          Map.entry('D', "MM/dd/yy"),
          Map.entry('R', "HH:mm"));

  private TextFormat() {}

  /** {@code format % values}, with the conversions s, r, d, i, f and x. */
  static String percent(Run run, String format, Object values) {
    List<?> items = values instanceof Tuple tuple ? tuple : Collections.singletonList(values);
    StringBuilder out = new StringBuilder();
    Matcher matcher = CONVERSION.matcher(format);
    int next = 0;
    int from = 0;
    for (int at = format.indexOf('%'); at >= 0; at = format.indexOf('%', from)) {
      out.append(format, from, at);
      if (!matcher.find(at) || matcher.start() != at) {
        throw run.error("the format '%s' has a conversion that is not supported", format);
      }
      from = matcher.end();
      if (matcher.group(5).equals("%")) {
        out.append('%');
        continue;
      }
      Object value;
      if (matcher.group(1) != null) {
        value = Slices.item(run, values, matcher.group(1));
      } else if (next < items.size()) {
        value = items.get(next++);
      } else {
        throw run.error("the format '%s' has too few values", format);
      }
      int precision = matcher.group(4) == null ? -1 : Integer.parseInt(matcher.group(4));
      String text = convert(run, value, matcher.group(5).charAt(0), precision);
      out.append(pad(text, matcher.group(2), matcher.group(3)));
      run.checkLength(out.length());
    }
    boolean named = values instanceof Map<?, ?>;
    if (!named && next < items.size()) {
      throw run.error("the format '%s' has too many values", format);
    }
    return out.append(format, from, format.length()).toString();
  }

  private static String convert(Run run, Object value, char conversion, int precision) {
    switch (conversion) {
      case 's':
        String text = Values.str(run, value);
        return precision >= 0 && precision < text.length() ? text.substring(0, precision) : text;
      case 'r':
        return Values.repr(run, value);
      default:
        Operators.checkDefined(run, value);
        if (!Values.isNumber(value)) {
          throw run.error("'%%%s' needs a number, not '%s'", conversion, Values.typeName(value));
        }
    }
    if (conversion == 'f') {
      return fixed(Values.toDouble(value), precision < 0 ? 6 : precision);
    }
    long number = value instanceof Double real ? real.longValue() : Values.toLong(value);
    return conversion == 'x' ? Long.toHexString(number) : Long.toString(number);
  }

  private static String fixed(double number, int digits) {
    return Double.isFinite(number)
        ? new BigDecimal(number).setScale(digits, RoundingMode.HALF_EVEN).toPlainString()
        : Values.floatText(number);
  }

  private static String pad(String text, String flags, String width) {
    String signed = flags.contains("+") && !text.startsWith("-") ? "+" + text : text;
    int missing = width.isEmpty() ? 0 : Integer.parseInt(width) - PythonText.length(signed);
    if (missing <= 0) {
      return signed;
    }
    if (flags.contains("-")) {
      return signed + " ".repeat(missing);
    }
    if (!flags.contains("0")) {
      return " ".repeat(missing) + signed;
    }
    int sign = signed.startsWith("-") || signed.startsWith("+") ? 1 : 0;
    return signed.substring(0, sign) + "0".repeat(missing) + signed.substring(sign);
  }

  /** {@code text.format(...)}: fields by position or name, with width, precision, d, f or s. */
  static Object braces(Run run, String format, Arguments arguments) {
    StringBuilder out = new StringBuilder();
    Matcher matcher = FIELD.matcher(format);
    int from = 0;
    int next = 0;
    while (matcher.find()) {
      out.append(plain(run, format, from, matcher.start()));
      from = matcher.end();
      if (matcher.group().equals("{{") || matcher.group().equals("}}")) {
        out.append(matcher.group().charAt(0));
        continue;
      }
      String name = matcher.group(1).isEmpty() ? Integer.toString(next++) : matcher.group(1);
      Object value = field(run, name, arguments);
      String kind = matcher.group(5) == null ? "" : matcher.group(5);
      int precision = matcher.group(4) == null ? -1 : Integer.parseInt(matcher.group(4));
      boolean number = Values.isNumber(value);
      char conversion = kind.isEmpty() ? (precision >= 0 && number ? 'f' : 's') : kind.charAt(0);
      String text = convert(run, value, conversion, precision);
      String width = matcher.group(3) == null ? "" : matcher.group(3);
      String zero = matcher.group(2) == null ? "" : matcher.group(2);
      out.append(pad(text, number ? zero : "-", width));
      run.checkLength(out.length());
    }
    return out.append(plain(run, format, from, format.length())).toString();
  }

  private static String plain(Run run, String format, int from, int to) {
    String text = format.substring(from, to);
    if (text.indexOf('{') >= 0 || text.indexOf('}') >= 0) {
      throw run.error("the format '%s' has a field that is not supported", format);
    }
    return text;
  }

  private static Object field(Run run, String name, Arguments arguments) {
    if (arguments.keywords().containsKey(name)) {
      return arguments.keywords().get(name);
    }
    if (name.length() <= 4 && name.chars().allMatch(c -> c >= '0' && c <= '9')) {
      int index = Integer.parseInt(name);
      if (index < arguments.positional().size()) {
        return arguments.positional().get(index);
      }
    }
    throw run.error("the format has no value for the field '%s'", name);
  }

  /** C's strftime in English for the letters templates use. */
  static String strftime(Run run, LocalDateTime time, String format) {
    StringBuilder out = new StringBuilder();
    for (int i = 0; i < format.length(); i++) {
      char c = format.charAt(i);
      if (c != '%' || i + 1 == format.length()) {
        out.append(c);
        continue;
      }
      char letter = format.charAt(++i);
      boolean unpadded = letter == '-' && i + 1 < format.length();
      if (unpadded) {
        letter = format.charAt(++i);
      }
      String pattern = DATE_PATTERNS.get(letter);
      if (letter == '%' || pattern == null) {
        out.append(letter == '%' ? "%" : "%" + letter);
        continue;
      }
      String text = DateTimeFormatter.ofPattern(pattern, Locale.ENGLISH).format(time);
      out.append(unpadded ? text.replaceFirst("^[0 ]+(?=.)", "") : text);
    }
    run.checkLength(out.length());
    return out.toString();
  }
}
