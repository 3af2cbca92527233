package dev.bulkgen.spark.job;

import java.util.Locale;

/** Spans of time for people. */
final class Durations {
  private Durations() {}

  /** Such as {@code 7.2 s}, {@code 3:05 min} or {@code 2:03:05 h}. */
  static String show(double seconds) {
    if (seconds < 60) {
      return String.format(Locale.ROOT, "%.1f s", seconds);
    }
    return clock((long) seconds) + (seconds < 3600 ? " min" : " h");
  }

  /** Such as {@code 0:32} or {@code 2:03:05}. */
  static String clock(long seconds) {
    return seconds < 3600
        ? String.format(Locale.ROOT, "%d:%02d", seconds / 60, seconds % 60)
        : String.format(
            Locale.ROOT, "%d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60);
  }
}
