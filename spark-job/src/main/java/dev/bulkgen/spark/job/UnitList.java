package dev.bulkgen.spark.job;

import dev.bulkgen.spark.plan.UnitSpec;
import java.util.ArrayList;
import java.util.List;

/** Numbers of units for people: {@code 0-7, 9, 12-40}. */
final class UnitList {
  private static final int MOST_RUNS = 8;

  private UnitList() {}

  static String show(List<UnitSpec> units) {
    List<String> runs = new ArrayList<>();
    int index = 0;
    while (index < units.size() && runs.size() < MOST_RUNS) {
      int first = units.get(index).unit();
      int last = first;
      while (index + 1 < units.size() && units.get(index + 1).unit() == last + 1) {
        last++;
        index++;
      }
      index++;
      runs.add(first == last ? String.valueOf(first) : first + "-" + last);
    }
    return String.join(", ", runs) + (index < units.size() ? ", …" : "");
  }
}
