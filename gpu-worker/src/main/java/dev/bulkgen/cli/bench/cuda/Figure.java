package dev.bulkgen.cli.bench.cuda;

import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One measured figure.
 *
 * @param name of what was measured
 * @param settings that it was measured with, in the order in which they are shown
 * @param value in {@code unit}
 * @param roof in the same unit; NaN where there is none
 * @param roofName what the roof is
 */
record Figure(
    String name,
    Map<String, Object> settings,
    double value,
    String unit,
    double roof,
    String roofName) {

  Figure {
    settings = java.util.Collections.unmodifiableMap(new LinkedHashMap<>(settings));
  }

  static Figure of(String name, Map<String, Object> settings, double value, String unit) {
    return new Figure(name, settings, value, unit, Double.NaN, "");
  }

  Figure under(double roofValue, String name) {
    return new Figure(this.name, settings, value, unit, roofValue, name);
  }

  /** Share of the roof; NaN without one. */
  double ofRoof() {
    return value / roof;
  }

  /** A map that keeps the order of {@code pairs}: name, value, name, value … */
  static Map<String, Object> settings(Object... pairs) {
    Map<String, Object> map = new LinkedHashMap<>();
    for (int i = 0; i < pairs.length; i += 2) {
      map.put((String) pairs[i], pairs[i + 1]);
    }
    return map;
  }
}
