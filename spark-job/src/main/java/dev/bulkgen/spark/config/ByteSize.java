package dev.bulkgen.spark.config;

import java.util.Locale;
import java.util.Map;
import java.util.OptionalLong;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Sizes such as {@code 4GB}, {@code 512MB}, {@code 1.5G}; all units are powers of 1,024. */
public final class ByteSize {
  private static final Pattern FORM = Pattern.compile("([0-9]+(?:\\.[0-9]+)?)\\s*([kmgt]?)i?b?");
  private static final Map<String, Long> UNITS =
      Map.of("", 1L, "k", 1L << 10, "m", 1L << 20, "g", 1L << 30, "t", 1L << 40);

  private ByteSize() {}

  /** Empty if the text is no size. */
  public static OptionalLong parse(String text) {
    Matcher matcher = FORM.matcher(text.trim().toLowerCase(Locale.ROOT));
    if (!matcher.matches()) {
      return OptionalLong.empty();
    }
    double bytes = Double.parseDouble(matcher.group(1)) * UNITS.get(matcher.group(2));
    return bytes < 1L << 50 ? OptionalLong.of((long) bytes) : OptionalLong.empty();
  }

  /** For people: {@code 1.5 GiB}. */
  public static String format(long bytes) {
    String[] names = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = bytes;
    int unit = 0;
    while (value >= 1024 && unit < names.length - 1) {
      value /= 1024;
      unit++;
    }
    return String.format(Locale.ROOT, unit == 0 ? "%.0f %s" : "%.1f %s", value, names[unit]);
  }
}
