package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.cuda.CudaBackend;
import dev.bulkgen.backend.cuda.CudaContext;
import dev.bulkgen.backend.cuda.CudaNeeds;
import dev.bulkgen.backend.cuda.Precision;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.cache.PolicyComparison;
import dev.bulkgen.cli.bench.Workload;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelDescription;
import dev.bulkgen.model.ModelWeights;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/**
 * Generation end to end with random weights: tokens a second at the same batch for all policies, at
 * each policy's largest batch, and the time of a decode step beside the bytes that it must read.
 */
final class GenerationBench {
  private static final int PREFILL_TOKENS = 4096;
  private static final int CHECKED_TOKENS = 6;
  private static final int CHECKED_BATCH = 64;
  private static final double MEMORY_FRACTION = 0.95;

  private final int ordinal;
  private final BenchSizes sizes;
  private final ModelShape model;
  private final List<CachePolicy> policies;
  private final RoofBench.Roofs roofs;
  private final Predicate<String> isTimeLeft;
  private final ModelDescription description;
  private final ModelWeights weights;

  /** Of the first policy, by the kind of batch, for ratios. */
  private final Map<Batch, GenerationRun.Result> baselines = new HashMap<>();

  private enum Batch {
    EQUAL,
    LARGEST;

    @Override
    public String toString() {
      return name().toLowerCase(java.util.Locale.ROOT);
    }
  }

  /**
   * @param isTimeLeft tells, by the name of what comes next, whether to go on
   */
  GenerationBench(
      int ordinal,
      BenchSizes sizes,
      BenchSizes.Model model,
      RoofBench.Roofs roofs,
      Predicate<String> isTimeLeft) {
    this.ordinal = ordinal;
    this.sizes = sizes;
    this.model = model.shape();
    policies = model.policies();
    this.roofs = roofs;
    this.isTimeLeft = isTimeLeft;
    description = this.model.description();
    weights = this.model.weights(description.config());
  }

  void measure(Figures figures) {
    for (Batch batch : Batch.values()) {
      for (CachePolicy policy : policies) {
        String name = PolicyComparison.displayName(policy);
        if (isTimeLeft.test(model.name() + ", " + name + " at " + batch + " batch")) {
          measure(figures, policy, batch);
        }
      }
    }
  }

  private int length() {
    return sizes.workload().promptTokens() + sizes.workload().generatedTokens();
  }

  private CacheCapacity capacity(CacheLayout layout, int batch) {
    long pages = batch * MemoryPlan.pagesOf(layout, length());
    int together = Math.min(PREFILL_TOKENS, batch * sizes.workload().promptTokens());
    return new CacheCapacity(Math.toIntExact(pages), batch, Math.max(length(), together));
  }

  private long bytes(CacheLayout layout, int batch) {
    CacheCapacity capacity = capacity(layout, batch);
    CudaNeeds needs =
        CudaNeeds.of(description, layout, capacity, Precision.ONE_PIECE, GemmChoice.OWN);
    return needs.weightBytes()
        + needs.workspaceBytes()
        + needs.logitBytes()
        + (long) capacity.pages() * layout.pageBytes()
        + batch * layout.windowBytes();
  }

  /** The most sequences of the workload's length whose memory is there, all parts counted. */
  private int largestBatch(CacheLayout layout) {
    long free = CudaContext.freeBytes(ordinal);
    long budget = (long) (MEMORY_FRACTION * free);
    int most =
        MemoryPlan.largest(
            sizes.workload().mostSequences(), batch -> bytes(layout, batch) <= budget);
    if (most == 0) {
      throw BulkgenException.of(
          ErrorCode.MEMORY_PLAN_REFUSED,
          "%s needs %,d bytes for one sequence, of the device's memory %,d are free",
          model.name(),
          bytes(layout, 1),
          free);
    }
    return most;
  }

  private void measure(Figures figures, CachePolicy policy, Batch kind) {
    CacheLayout layout = CacheLayout.of(policy, description.config());
    int batch = kind == Batch.EQUAL ? sizes.workload().equalBatch() : largestBatch(layout);
    GenerationRun.Result result = generate(layout, batch);
    Map<String, Object> settings =
        Figure.settings(
            "model", model.name(),
            "kv_cache", PolicyComparison.displayName(policy),
            "batch", kind.toString(),
            "sequences", batch);
    figures.add(Figure.of("generation", settings, result.tokensPerSecond(), "tokens/s"));
    double promptTokens = (double) batch * sizes.workload().promptTokens();
    figures.add(
        Figure.of("  prompts", settings, promptTokens / result.prefillSeconds(), "tokens/s"));
    double step = median(result.stepSeconds());
    figures.add(Figure.of("  decode step", settings, 1e3 * step, "ms"));
    figures.add(Figure.of("  step over its floor", settings, overFloor(layout, result), "x"));
    GenerationRun.Result baseline = baselines.putIfAbsent(kind, result);
    if (baseline != null) {
      double rate = result.tokensPerSecond() / baseline.tokensPerSecond();
      figures.add(Figure.of("  beside fp16", settings, rate, "x"));
      double sequences = (double) batch / baseline.tokens().length;
      figures.add(Figure.of("  sequences, beside fp16", settings, sequences, "x"));
    }
  }

  private GenerationRun.Result generate(CacheLayout layout, int batch) {
    BenchSizes.Workload workload = sizes.workload();
    CacheCapacity capacity = capacity(layout, batch);
    try (Backend backend =
        CudaBackend.open(
            CudaContext.open(ordinal),
            weights,
            layout,
            capacity,
            Precision.ONE_PIECE,
            GemmChoice.OWN)) {
      GenerationRun run =
          new GenerationRun(
              backend, layout, model.vocabulary(), capacity.pages(), capacity.prefillTokens());
      int checked = Math.min(CHECKED_TOKENS, workload.generatedTokens());
      int[] alone = run.run(1, workload.promptTokens(), checked).tokens()[0];
      int beside = Math.min(batch, CHECKED_BATCH);
      int[] together = run.run(beside, workload.promptTokens(), checked).tokens()[0];
      if (!Arrays.equals(alone, together)) {
        throw BulkgenException.of(
            ErrorCode.INTERNAL,
            "%s, %s: tokens %s alone, %s in a batch of %d; nothing of it was timed",
            model.name(),
            layout.policy().name(),
            Arrays.toString(alone),
            Arrays.toString(together),
            beside);
      }
      return run.run(batch, workload.promptTokens(), workload.generatedTokens());
    }
  }

  /** The median over all steps of a step's time over that of reading what it must, at the roof. */
  private double overFloor(CacheLayout layout, GenerationRun.Result result) {
    double[] steps = result.stepSeconds();
    double[] ratios = new double[steps.length];
    for (int i = 0; i < steps.length; i++) {
      int context = sizes.workload().promptTokens() + i + 1;
      Workload least = Workload.decode(weights, layout, result.tokens().length, context);
      ratios[i] = steps[i] * roofs.bytesPerSecond() / least.bytes();
    }
    return median(ratios);
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return sorted[sorted.length / 2];
  }
}
