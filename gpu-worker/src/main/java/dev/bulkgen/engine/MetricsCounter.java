package dev.bulkgen.engine;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.schedule.Scheduler;
import dev.bulkgen.schedule.SchedulerPools;
import dev.bulkgen.schedule.StepPlan;
import dev.bulkgen.schedule.StepPlan.Part;

/** Adds up what the engine's thread does; any thread reads. */
final class MetricsCounter {
  private final CacheLayout layout;
  private volatile EngineMetrics metrics;
  private long lastEnd = System.nanoTime();

  MetricsCounter(CacheLayout layout, int slots, long cacheBytes) {
    this.layout = layout;
    metrics =
        new EngineMetrics(
            0, 0, 0, 0, 0, 0, 0, 0, 0, cacheBytes, slots, new EngineMetrics.Load(0, 0, 0, 0, 0), 0);
  }

  /**
   * @param queued requests that the scheduler does not know yet
   */
  EngineMetrics metrics(int queued) {
    return metrics.with(metrics.load().with(queued));
  }

  /** A step is about to be submitted. */
  void begins(StepPlan plan, Scheduler scheduler, SchedulerPools pools) {
    EngineMetrics old = metrics;
    int usedPages = pools.usedPages();
    long usedBytes =
        usedPages * (long) layout.pageBytes()
            + scheduler.runningCount() * layout.windowBytes()
            + pools.usedStaging() * (long) layout.staging().pageBytes();
    long cached =
        plan.prefills().stream()
            .filter(part -> part.from() == part.sequence().cachedTokens())
            .mapToLong(Part::from)
            .sum();
    metrics =
        new EngineMetrics(
            old.promptTokens(),
            old.cachedTokens() + cached,
            old.generatedTokens(),
            old.steps(),
            old.sequenceSteps(),
            old.prefillNanos(),
            old.decodeNanos(),
            Math.max(old.peakPages(), usedPages),
            Math.max(old.peakCacheBytes(), usedBytes),
            old.cacheBytes(),
            old.slots(),
            new EngineMetrics.Load(
                0,
                scheduler.waitingCount(),
                scheduler.runningCount(),
                scheduler.swappedCount(),
                usedPages),
            old.swapOuts() + plan.swapOuts().size());
    if (old.steps() == 0) {
      lastEnd = System.nanoTime();
    }
  }

  /** A step is known. */
  void ended(StepPlan plan, int drawn) {
    EngineMetrics old = metrics;
    long now = System.nanoTime();
    long nanos = now - lastEnd;
    lastEnd = now;
    boolean prefill = !plan.prefills().isEmpty();
    metrics =
        new EngineMetrics(
            old.promptTokens() + plan.promptTokens(),
            old.cachedTokens(),
            old.generatedTokens() + drawn,
            old.steps() + 1,
            old.sequenceSteps() + plan.sequences(),
            old.prefillNanos() + (prefill ? nanos : 0),
            old.decodeNanos() + (prefill ? 0 : nanos),
            old.peakPages(),
            old.peakCacheBytes(),
            old.cacheBytes(),
            old.slots(),
            old.load(),
            old.swapOuts());
  }
}
