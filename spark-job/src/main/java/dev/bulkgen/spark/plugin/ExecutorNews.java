package dev.bulkgen.spark.plugin;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;

/** What the plugins of executors have told the driver between the results of tasks. */
public final class ExecutorNews {
  private static final Map<String, EngineReport> REPORTS = new ConcurrentHashMap<>();
  private static final ConcurrentLinkedQueue<String> LOSSES = new ConcurrentLinkedQueue<>();

  private ExecutorNews() {}

  static void note(EngineReport report) {
    REPORTS.put(report.executor(), report);
  }

  static void noteLoss(String what) {
    LOSSES.add(what);
  }

  /** The newest report of each executor, dead ones among them. */
  public static List<EngineReport> reports() {
    return List.copyOf(REPORTS.values());
  }

  /** Executors that ended since this was last asked, in words. */
  public static List<String> takeLosses() {
    List<String> taken = new ArrayList<>();
    for (String loss = LOSSES.poll(); loss != null; loss = LOSSES.poll()) {
      taken.add(loss);
    }
    return taken;
  }

  static void forget() {
    REPORTS.clear();
    LOSSES.clear();
  }
}
