package dev.bulkgen.text.jinja;

/** Backslash escapes of string literals, as Python defines them; unknown ones stay as written. */
final class StringEscapes {
  private StringEscapes() {}

  /** The value of the literal between its quotes, or null where an escape is malformed. */
  static String decode(String raw) {
    if (raw.indexOf('\\') < 0) {
      return raw;
    }
    StringBuilder value = new StringBuilder(raw.length());
    int i = 0;
    while (i < raw.length()) {
      char c = raw.charAt(i++);
      if (c != '\\' || i == raw.length()) {
        value.append(c);
        continue;
      }
      char escape = raw.charAt(i++);
      int digits =
          switch (escape) {
            case 'x' -> 2;
            case 'u' -> 4;
            case 'U' -> 8;
            default -> 0;
          };
      if (digits > 0) {
        int codePoint = number(raw, i, digits, 16);
        if (codePoint < 0) {
          return null;
        }
        value.appendCodePoint(codePoint);
        i += digits;
      } else if (escape >= '0' && escape <= '7') {
        int length = 1;
        while (length < 3 && i - 1 + length < raw.length() && isOctal(raw.charAt(i - 1 + length))) {
          length++;
        }
        value.appendCodePoint(number(raw, i - 1, length, 8));
        i += length - 1;
      } else {
        appendSimple(value, escape);
      }
    }
    return value.toString();
  }

  private static void appendSimple(StringBuilder value, char escape) {
    switch (escape) {
      case 'n' -> value.append('\n');
      case 't' -> value.append('\t');
      case 'r' -> value.append('\r');
      case 'b' -> value.append('\b');
      case 'f' -> value.append('\f');
      case 'a' -> value.append('\u0007');
      case 'v' -> value.append('\u000b');
      case '\\', '\'', '"' -> value.append(escape);
      case '\n' -> {}
      default -> value.append('\\').append(escape);
    }
  }

  private static boolean isOctal(char c) {
    return c >= '0' && c <= '7';
  }

  private static int number(String raw, int from, int digits, int radix) {
    if (from + digits > raw.length()) {
      return -1;
    }
    long value = 0;
    for (int i = from; i < from + digits; i++) {
      int digit = Character.digit(raw.charAt(i), radix);
      if (digit < 0) {
        return -1;
      }
      value = value * radix + digit;
    }
    return value <= Character.MAX_CODE_POINT ? (int) value : -1;
  }
}
