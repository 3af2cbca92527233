package dev.bulkgen.text.jinja;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.IntPredicate;

/** String operations as Python counts and spells them: by code point, not by UTF-16 unit. */
final class PythonText {
  private PythonText() {}

  static int length(String text) {
    return text.codePointCount(0, text.length());
  }

  static int compare(String left, String right) {
    int i = 0;
    while (i < left.length() && i < right.length()) {
      int first = left.codePointAt(i);
      int second = right.codePointAt(i);
      if (first != second) {
        return Integer.compare(first, second);
      }
      i += Character.charCount(first);
    }
    return Integer.compare(left.length(), right.length());
  }

  static boolean isSpace(int codePoint) {
    return Character.isWhitespace(codePoint)
        || Character.isSpaceChar(codePoint)
        || codePoint == 0x85;
  }

  /** Strips from the chosen ends: white space where {@code characters} is null. */
  static String strip(String text, String characters, boolean left, boolean right) {
    IntPredicate goes =
        characters == null ? PythonText::isSpace : point -> characters.indexOf(point) >= 0;
    int from = 0;
    int to = text.length();
    while (left && from < to && goes.test(text.codePointAt(from))) {
      from += Character.charCount(text.codePointAt(from));
    }
    while (right && to > from && goes.test(text.codePointBefore(to))) {
      to -= Character.charCount(text.codePointBefore(to));
    }
    return text.substring(from, to);
  }

  /** Splits at white space ({@code separator} null) or at a separator, at most so many times. */
  static List<Object> split(Run run, String text, String separator, long times) {
    run.charge(text.length() >> 2);
    List<Object> parts = new ArrayList<>();
    long left = times < 0 ? Long.MAX_VALUE : times;
    if (separator == null) {
      String rest = strip(text, null, true, false);
      while (!rest.isEmpty() && left-- > 0) {
        int end = 0;
        while (end < rest.length() && !isSpace(rest.codePointAt(end))) {
          end += Character.charCount(rest.codePointAt(end));
        }
        parts.add(rest.substring(0, end));
        rest = strip(rest.substring(end), null, true, false);
        run.charge(rest.length() >> 4);
      }
      if (!rest.isEmpty()) {
        parts.add(rest);
      }
      return parts;
    }
    checkSeparator(run, separator);
    int from = 0;
    for (int at = text.indexOf(separator); at >= 0 && left-- > 0; ) {
      parts.add(text.substring(from, at));
      from = at + separator.length();
      at = text.indexOf(separator, from);
    }
    parts.add(text.substring(from));
    return parts;
  }

  /** Splits from the right end. */
  static List<Object> splitRight(Run run, String text, String separator, long times) {
    String reversed = new StringBuilder(text).reverse().toString();
    String mirror = separator == null ? null : new StringBuilder(separator).reverse().toString();
    List<Object> parts = new ArrayList<>();
    for (Object part : split(run, reversed, mirror, times)) {
      parts.add(0, new StringBuilder((String) part).reverse().toString());
      run.charge(parts.size() >> 4);
    }
    return parts;
  }

  static void checkSeparator(Run run, String separator) {
    if (separator.isEmpty()) {
      throw run.error("the separator is empty");
    }
  }

  static List<Object> lines(String text, boolean keepEnds) {
    List<Object> lines = new ArrayList<>();
    int from = 0;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (isLineEnd(c)) {
        int end = c == '\r' && i + 1 < text.length() && text.charAt(i + 1) == '\n' ? i + 2 : i + 1;
        lines.add(text.substring(from, keepEnds ? end : i));
        from = end;
        i = end - 1;
      }
    }
    if (from < text.length()) {
      lines.add(text.substring(from));
    }
    return lines;
  }

  private static boolean isLineEnd(char c) {
    return (c >= '\n' && c <= '\r')
        || (c >= 0x1c && c <= 0x1e)
        || c == 0x85
        || c == 0x2028
        || c == 0x2029;
  }

  static String replace(Run run, String text, String old, String fresh, long times) {
    StringBuilder out = new StringBuilder();
    long left = times < 0 ? Long.MAX_VALUE : times;
    int from = 0;
    int at = text.indexOf(old);
    while (at >= 0 && left-- > 0) {
      out.append(text, from, at).append(fresh);
      run.checkLength(out.length());
      from = at;
      int next = at + old.length();
      if (old.isEmpty()) {
        if (at == text.length()) {
          break;
        }
        next = at + Character.charCount(text.codePointAt(at));
        out.append(text, at, next);
        from = next;
        at = next;
      } else {
        from = next;
        at = text.indexOf(old, next);
      }
    }
    return out.append(text, from, text.length()).toString();
  }

  static String capitalize(String text) {
    if (text.isEmpty()) {
      return text;
    }
    int first = Character.charCount(text.codePointAt(0));
    return text.substring(0, first).toUpperCase(Locale.ROOT)
        + text.substring(first).toLowerCase(Locale.ROOT);
  }

  /** Upper case after every character that {@code starts} accepts, lower case elsewhere. */
  static String title(String text, IntPredicate starts) {
    StringBuilder out = new StringBuilder();
    boolean start = true;
    for (int i = 0; i < text.length(); ) {
      int point = text.codePointAt(i);
      String character = Character.toString(point);
      out.append(start ? character.toUpperCase(Locale.ROOT) : character.toLowerCase(Locale.ROOT));
      start = starts.test(point);
      i += Character.charCount(point);
    }
    return out.toString();
  }

  /** Whether the text is not empty and every code point passes. */
  static boolean all(String text, IntPredicate test) {
    return !text.isEmpty() && text.codePoints().allMatch(test);
  }
}
