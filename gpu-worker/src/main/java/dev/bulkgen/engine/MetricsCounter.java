package dev.bulkgen.engine;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.schedule.Scheduler;
import dev.bulkgen.schedule.SchedulerPools;
import dev.bulkgen.schedule.StepPlan;
import dev.bulkgen.schedule.StepPlan.Part;

/** Adds up what the engine's thread does; any thread reads. */
final class MetricsCounter {
  private final CacheLayout layout;
  private final int slots;
  private final long cacheBytes;
  private long promptTokens;
  private long cachedTokens;
  private long generatedTokens;
  private long steps;
  private long sequenceSteps;
  private long prefillNanos;
  private long decodeNanos;
  private int peakPages;
  private long peakCacheBytes;
  private long swapOuts;
  private int waiting;
  private int running;
  private int swapped;
  private int usedPages;
  private int pending; // steps submitted and not known yet
  private long since; // the device is at work on the oldest of them

  MetricsCounter(CacheLayout layout, int slots, long cacheBytes) {
    this.layout = layout;
    this.slots = slots;
    this.cacheBytes = cacheBytes;
  }

  /**
   * @param queued requests that the scheduler does not know yet
   */
  synchronized EngineMetrics metrics(int queued) {
    return new EngineMetrics(
        promptTokens,
        cachedTokens,
        generatedTokens,
        steps,
        sequenceSteps,
        prefillNanos,
        decodeNanos,
        peakPages,
        peakCacheBytes,
        cacheBytes,
        slots,
        new EngineMetrics.Load(queued, waiting, running, swapped, usedPages),
        swapOuts);
  }

  /** A step is about to be submitted. */
  synchronized void begins(StepPlan plan, Scheduler scheduler, SchedulerPools pools) {
    waiting = scheduler.waitingCount();
    running = scheduler.runningCount();
    swapped = scheduler.swappedCount();
    usedPages = pools.usedPages();
    peakPages = Math.max(peakPages, usedPages);
    long usedBytes =
        usedPages * (long) layout.pageBytes()
            + running * layout.windowBytes()
            + pools.usedStaging() * (long) layout.staging().pageBytes();
    peakCacheBytes = Math.max(peakCacheBytes, usedBytes);
    swapOuts += plan.swapOuts().size();
    cachedTokens +=
        plan.prefills().stream()
            .filter(part -> part.from() == part.sequence().cachedTokens())
            .mapToLong(Part::from)
            .sum();
    // Waiting for requests is nobody's step.
    since = pending == 0 ? System.nanoTime() : since;
    pending++;
  }

  /** The oldest step is known. */
  synchronized void ended(StepPlan plan, int drawn) {
    long now = System.nanoTime();
    if (plan.prefills().isEmpty()) {
      decodeNanos += now - since;
    } else {
      prefillNanos += now - since;
    }
    since = now;
    pending--;
    promptTokens += plan.promptTokens();
    generatedTokens += drawn;
    steps++;
    sequenceSteps += plan.sequences();
  }
}
