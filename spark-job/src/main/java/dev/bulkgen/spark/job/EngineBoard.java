package dev.bulkgen.spark.job;

import dev.bulkgen.spark.plugin.EngineReport;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.function.LongSupplier;
import org.apache.spark.scheduler.SparkListener;
import org.apache.spark.scheduler.SparkListenerExecutorAdded;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;

/**
 * The newest figures of each executor's engine, on the driver, and when executors came and went;
 * the memory plan of an engine is told when it is first heard of. Safe for use by several threads.
 */
final class EngineBoard extends SparkListener {
  private final LongSupplier nanoTime;
  private final TreeMap<String, EngineReport> engines = new TreeMap<>();
  private final Map<String, EngineReport> before = new HashMap<>();
  private final Map<String, Long> added = new HashMap<>();
  private final Map<String, Long> removed = new HashMap<>();
  private long begin;

  EngineBoard(LongSupplier nanoTime) {
    this.nanoTime = nanoTime;
    this.begin = nanoTime.getAsLong();
  }

  /**
   * @param tell takes a memory plan with its heading
   */
  synchronized void note(EngineReport report, Consumer<String> tell) {
    EngineReport known = engines.get(report.executor());
    if (known == null) {
      String whose = report.executor().equals("driver") ? "" : " of executor " + report.executor();
      tell.accept("Memory plan" + whose + "\n" + report.figures().memoryPlan().indent(2));
    }
    // Results of two units may overtake each other on their way.
    if (!isSameEngine(known, report)
        || report.figures().sequenceSteps() >= known.figures().sequenceSteps()) {
      engines.put(report.executor(), report);
    }
  }

  private static boolean isSameEngine(EngineReport one, EngineReport other) {
    return one != null && one.opened() == other.opened();
  }

  /** As {@link #note}, for what an executor said unasked: only of engines that this job uses. */
  synchronized void refresh(EngineReport report) {
    if (isSameEngine(engines.get(report.executor()), report)) {
      note(report, plan -> {});
    }
  }

  /** Units begin: what engines did before is not of this job. */
  synchronized void begin() {
    begin = nanoTime.getAsLong();
    before.putAll(engines);
  }

  @Override
  public synchronized void onExecutorAdded(SparkListenerExecutorAdded event) {
    added.put(event.executorId(), nanoTime.getAsLong());
  }

  @Override
  public synchronized void onExecutorRemoved(SparkListenerExecutorRemoved event) {
    removed.put(event.executorId(), nanoTime.getAsLong());
  }

  /** Engines that were heard of, with their figures of this job until now. */
  synchronized List<DeviceUse> devices() {
    long now = nanoTime.getAsLong();
    List<DeviceUse> devices = new ArrayList<>();
    for (EngineReport report : engines.values()) {
      long from = Math.max(begin, added.getOrDefault(report.executor(), begin));
      long until = Math.min(now, removed.getOrDefault(report.executor(), now));
      EngineReport earlier = before.get(report.executor());
      devices.add(
          new DeviceUse(
              report.executor(),
              report.host(),
              isSameEngine(earlier, report)
                  ? report.figures().since(earlier.figures())
                  : report.figures(),
              Math.max(0, until - from) / 1e9));
    }
    return devices;
  }
}
