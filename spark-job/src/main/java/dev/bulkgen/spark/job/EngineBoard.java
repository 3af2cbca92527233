package dev.bulkgen.spark.job;

import dev.bulkgen.spark.plugin.EngineFigures;
import dev.bulkgen.spark.plugin.EngineReport;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Consumer;

/**
 * The newest figures of each executor's engine, on the driver; the memory plan of an engine is told
 * when it is first heard of. Safe for use by several threads.
 */
final class EngineBoard {
  private final TreeMap<String, EngineFigures> engines = new TreeMap<>();

  /**
   * @param tell takes a memory plan with its heading
   */
  synchronized void note(EngineReport report, Consumer<String> tell) {
    EngineFigures known = engines.get(report.executor());
    if (known == null) {
      String whose = report.executor().equals("driver") ? "" : " of executor " + report.executor();
      tell.accept("Memory plan" + whose + "\n" + report.figures().memoryPlan().indent(2));
    }
    // Results of two units may overtake each other on their way.
    if (known == null || report.figures().sequenceSteps() >= known.sequenceSteps()) {
      engines.put(report.executor(), report.figures());
    }
  }

  synchronized List<EngineFigures> figures() {
    return List.copyOf(engines.values());
  }
}
