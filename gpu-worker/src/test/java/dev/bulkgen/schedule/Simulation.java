package dev.bulkgen.schedule;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.schedule.SequenceState.Phase;
import dev.bulkgen.schedule.StepPlan.Part;
import dev.bulkgen.schedule.StepPlan.Swap;

/**
 * The real scheduler over requests of known lengths, as the engine drives it on a device: the next
 * step is planned before the tokens of this one are known. Nothing is computed; a step costs what
 * {@link StepCost} says.
 *
 * <p><b>Occupancy.</b> With {@code P} pages in the pool and sequences that hold {@code p} pages
 * each on average over their time in flight, no schedule keeps more than {@code P / p} in flight:
 * that is the page-limited optimum. A sequence holds exactly the pages its tokens need, and shares
 * none here, so the mean number in flight over the optimum is the mean of pages in use over {@code
 * P}. While every slot is taken slots are the limit and the step counts as full. Means are over the
 * modelled time between warm-up (until as many have ended as are in flight) and drain (from when
 * nobody waits and none is to come).
 */
final class Simulation {
  private final MemoryPlan plan;
  private final CacheLayout layout;
  private final SchedulerPools pools;
  private final SchedulerLimits limits;
  private final Scheduler scheduler;
  private final StepCost cost;
  private final LengthTrace requests;
  private final int maxTokens;
  private final double keptOfPrompt;
  private final int[][] prompts; // of each length, zeros: nothing is shared
  private int added;
  private int ended;
  private long promptTokens;
  private final Tally all = new Tally();
  private final Tally steady = new Tally();

  /** Sums over steps; those called mean are weighted by the time of the steps. */
  private static final class Tally {
    private long steps;
    private long idle;
    private double seconds;
    private double running;
    private double pages;
    private double occupancy;
    private long drawn;
    private long swapOuts;
    private long swapBytes;
    private double swapSeconds;
  }

  /**
   * @param meanRunning sequences in flight on the device
   * @param meanPages share of the pool's pages in use
   * @param occupancy share of the page-limited optimum
   * @param idleSteps steps that were asked for and did nothing
   * @param tokensPerSecond output tokens by the cost model
   * @param swapShare share of the time that swaps take
   */
  record Summary(
      int slots,
      long steps,
      long idleSteps,
      double meanRunning,
      double meanPages,
      double occupancy,
      long swapOuts,
      long swapBytes,
      double swapShare,
      double tokensPerSecond,
      double steadyTokensPerSecond,
      int ended,
      long promptTokens,
      long outputTokens) {}

  /**
   * @param maxTokens that every request may generate, at least as many as the longest output
   * @param keptOfPrompt share of a prompt's tokens that stay in the cache: 1 but for policies that
   *     evict; prefill is paid for in full
   */
  Simulation(
      MemoryPlan plan,
      SchedulerLimits limits,
      StepCost cost,
      LengthTrace requests,
      int maxTokens,
      double keptOfPrompt) {
    this.plan = plan;
    this.layout = plan.layout();
    this.pools = SchedulerPools.of(plan);
    this.limits = limits;
    this.scheduler = new Scheduler(layout, pools, limits);
    this.cost = cost;
    this.requests = requests;
    this.maxTokens = maxTokens;
    this.keptOfPrompt = keptOfPrompt;
    this.prompts = new int[plan.demand().maxModelLen()][];
  }

  Summary run() {
    StepPlan before = null;
    while (added < requests.requests() || !scheduler.isIdle()) {
      addWaiting();
      StepPlan next = scheduler.plan();
      count(next);
      scheduler.submitted(next);
      if (before != null) {
        collect(before);
      }
      before = next;
    }
    return summary();
  }

  /** Keeps as many waiting as can run at once, as the engine does. */
  private void addWaiting() {
    while (added < requests.requests() && scheduler.waitingCount() < limits.slots()) {
      int kept = kept(requests.prompts()[added]);
      if (prompts[kept] == null) {
        prompts[kept] = new int[kept];
      }
      int most = Math.min(maxTokens, plan.demand().maxModelLen() - kept);
      scheduler.add(new SequenceState(added, prompts[kept], most));
      added++;
    }
  }

  private int kept(int promptLength) {
    return Math.max(1, (int) Math.round(keptOfPrompt * promptLength));
  }

  private void count(StepPlan step) {
    long tokens = 0;
    long windowTokens = 0;
    for (SequenceState sequence : step.decodes()) {
      int length = sequence.cache().length() + 1;
      tokens += length;
      windowTokens += cost.windowTokens(length);
    }
    double operations = 0;
    for (Part part : step.prefills()) {
      int whole = requests.prompts()[(int) part.sequence().id()];
      double scale = (double) whole / part.sequence().promptLength();
      long to = Math.round(part.to() * scale);
      operations += cost.promptOperations(Math.round(part.from() * scale), to);
      promptTokens += part.endsPrompt() ? whole : 0;
    }
    long swapBytes = bytes(step.swapOuts()) + bytes(step.swapIns());
    double swapSeconds = cost.swapSeconds(swapBytes);
    double seconds =
        swapSeconds
            + cost.decodeSeconds(step.decodes().size(), tokens, windowTokens)
            + cost.promptSeconds(operations);
    boolean drains = added == requests.requests() && scheduler.waitingCount() == 0;
    count(all, step, seconds, swapBytes, swapSeconds);
    if (!drains && ended >= scheduler.runningCount()) {
      count(steady, step, seconds, swapBytes, swapSeconds);
    }
  }

  private long bytes(Iterable<Swap> swaps) {
    long bytes = 0;
    for (Swap swap : swaps) {
      bytes += cost.swapBytes(swap.from().pages().count(0) * layout.layers(), 1);
    }
    return bytes;
  }

  private void count(
      Tally tally, StepPlan step, double seconds, long swapBytes, double swapSeconds) {
    double pages = (double) pools.usedPages() / pools.pages().total();
    double slots = (double) scheduler.runningCount() / limits.slots();
    tally.steps++;
    tally.idle += step.isEmpty() ? 1 : 0;
    tally.seconds += seconds;
    tally.running += seconds * scheduler.runningCount();
    tally.pages += seconds * pages;
    tally.occupancy += seconds * (slots == 1 ? 1 : pages);
    tally.drawn += step.decodes().size() + step.prefills().size();
    tally.swapOuts += step.swapOuts().size();
    tally.swapBytes += swapBytes;
    tally.swapSeconds += swapSeconds;
  }

  private void collect(StepPlan step) {
    for (Part part : step.prefills()) {
      scheduler.fed(part);
      if (part.endsPrompt()) {
        draw(part.sequence());
      }
    }
    for (SequenceState sequence : step.decodes()) {
      draw(sequence);
    }
  }

  private void draw(SequenceState sequence) {
    if (sequence.phase() == Phase.ENDED) {
      return; // was planned before its last token was known
    }
    scheduler.drew(sequence, 0);
    if (sequence.outputLength() == requests.outputs()[(int) sequence.id()]) {
      scheduler.finish(sequence);
      ended++;
    }
  }

  private Summary summary() {
    long outputTokens = 0;
    for (int tokens : requests.outputs()) {
      outputTokens += tokens;
    }
    return new Summary(
        limits.slots(),
        all.steps,
        all.idle,
        steady.running / steady.seconds,
        steady.pages / steady.seconds,
        steady.occupancy / steady.seconds,
        all.swapOuts,
        all.swapBytes,
        all.swapSeconds / all.seconds,
        outputTokens / all.seconds,
        steady.drawn / steady.seconds,
        ended,
        promptTokens,
        outputTokens);
  }
}
