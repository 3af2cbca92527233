package dev.bulkgen.spark.plugin;

import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

/**
 * Rows that tasks of this JVM have finished in units that are still open. A driver in the same
 * process shows them; elsewhere it hears of whole units only.
 */
public final class LiveProgress {
  private static final ConcurrentHashMap<String, LongAdder> ROWS = new ConcurrentHashMap<>();

  private LiveProgress() {}

  /**
   * @param rows negative when a unit is closed: the driver then knows of it from the task's result
   */
  public static void add(String job, long rows) {
    ROWS.computeIfAbsent(job, absent -> new LongAdder()).add(rows);
  }

  public static long rows(String job) {
    LongAdder rows = ROWS.get(job);
    return rows == null ? 0 : rows.sum();
  }

  public static void forget(String job) {
    ROWS.remove(job);
  }
}
