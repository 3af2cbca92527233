package dev.bulkgen.spark.job;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** How long units took in this run. Safe for use by several threads. */
final class UnitTimes {
  private final List<Time> times = new ArrayList<>();

  /** Of the attempt that ended well. */
  record Time(int unit, String executor, long rows, long completionTokens, double seconds) {}

  synchronized void note(UnitResult result) {
    times.add(
        new Time(
            result.facts().unit(),
            result.engine().executor(),
            result.facts().rows(),
            result.facts().completionTokens(),
            result.seconds()));
  }

  /** The slowest first. */
  synchronized List<Time> slowest(int most) {
    return times.stream()
        .sorted(Comparator.comparingDouble(Time::seconds).reversed())
        .limit(most)
        .toList();
  }
}
