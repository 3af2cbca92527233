package dev.bulkgen.spark.config;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Reads {@code local}, {@code local[4]}, {@code local[*,3]}. */
public final class LocalMaster {
  private static final Pattern FORM =
      Pattern.compile("local(?:\\[\\s*(\\*|[0-9]{1,6})\\s*(?:,\\s*[0-9]+\\s*)?])?");

  private LocalMaster() {}

  public static boolean matches(String master) {
    return FORM.matcher(master).matches();
  }

  /** Cores the master gives to tasks in this process; elsewhere those of this machine. */
  public static int threads(String master) {
    int cores = Runtime.getRuntime().availableProcessors();
    Matcher matcher = FORM.matcher(master);
    if (!matcher.matches()) {
      return cores;
    }
    String count = matcher.group(1);
    if (count == null) {
      return 1;
    }
    return count.equals("*") ? cores : Math.max(1, Integer.parseInt(count));
  }
}
