package dev.bulkgen.spark.plugin;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Consumer;

/** What executors have told the driver, in the results of tasks and between them. */
public final class ExecutorNews {
  private static final Map<String, EngineReport> REPORTS = new ConcurrentHashMap<>();
  private static final ConcurrentLinkedQueue<String> LOSSES = new ConcurrentLinkedQueue<>();

  private static volatile Consumer<EngineReport> listener = report -> {};

  private ExecutorNews() {}

  public static void note(EngineReport report) {
    REPORTS.merge(report.executor(), report, ExecutorNews::newer);
    listener.accept(report);
  }

  /** Reports may overtake each other on their way. */
  private static EngineReport newer(EngineReport known, EngineReport report) {
    boolean isOlder =
        known.opened() == report.opened()
            && known.figures().sequenceSteps() > report.figures().sequenceSteps();
    return isOlder ? known : report;
  }

  static Optional<EngineReport> report(String executor) {
    return Optional.ofNullable(REPORTS.get(executor));
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

  /** A new application, whose plugin hears of reports as they come. */
  static void begin(Consumer<EngineReport> reports) {
    REPORTS.clear();
    LOSSES.clear();
    listener = reports;
  }
}
