package dev.bulkgen.config;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.math.BigDecimal;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads and writes amounts of memory. Units are HOCON's: {@code kB, MB, GB, TB} are powers of 1000,
 * {@code KiB, MiB, GiB, TiB} and the bare letters {@code K, M, G, T} powers of 1024.
 */
public final class ByteSize {
  private static final Pattern SIZE = Pattern.compile("(\\d{1,19}(?:\\.\\d{1,9})?)\\s*([a-z]*)");
  private static final Map<String, Long> UNITS =
      Map.ofEntries(
          Map.entry("", 1L),
          Map.entry("b", 1L),
          Map.entry("kb", 1000L),
          Map.entry("mb", 1000L * 1000),
          Map.entry("gb", 1000L * 1000 * 1000),
          Map.entry("tb", 1000L * 1000 * 1000 * 1000),
          Map.entry("k", 1L << 10),
          Map.entry("m", 1L << 20),
          Map.entry("g", 1L << 30),
          Map.entry("t", 1L << 40),
          Map.entry("kib", 1L << 10),
          Map.entry("mib", 1L << 20),
          Map.entry("gib", 1L << 30),
          Map.entry("tib", 1L << 40));

  private ByteSize() {}

  /**
   * @return bytes, rounded down
   * @throws BulkgenException SETTING_INVALID if {@code text} is not a size, or not below 2^63
   */
  public static long parse(String text) {
    Matcher matcher = SIZE.matcher(text.trim().toLowerCase(Locale.ROOT));
    if (matcher.matches() && UNITS.containsKey(matcher.group(2))) {
      BigDecimal unit = BigDecimal.valueOf(UNITS.get(matcher.group(2)));
      BigDecimal bytes = new BigDecimal(matcher.group(1)).multiply(unit);
      if (bytes.compareTo(BigDecimal.valueOf(Long.MAX_VALUE)) <= 0) {
        return bytes.longValue();
      }
    }
    throw BulkgenException.of(
        ErrorCode.SETTING_INVALID, "'%s' is not a size: write it like 8GB, 512MiB or 1.5G", text);
  }

  /** In B, KiB, MiB, GiB or TiB, the largest that keeps the number at 1 or more. */
  public static String format(long bytes) {
    String[] names = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = bytes;
    int unit = 0;
    while (value >= 1024 && unit < names.length - 1) {
      value /= 1024;
      unit++;
    }
    return unit == 0
        ? bytes + " B"
        : String.format(Locale.ROOT, value < 100 ? "%.2f %s" : "%.1f %s", value, names[unit]);
  }
}
