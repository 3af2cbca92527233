package dev.bulkgen.engine;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.MemoryDemand;
import dev.bulkgen.cache.MemoryDemand.WeightPlacement;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.cache.PolicyComparison;
import dev.bulkgen.config.ByteSize;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelDescription;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Makes the memory plan of an engine from its settings and config.json alone. */
public final class MemoryPlanner {
  /** Prompts shorter than the longest share a step up to this many tokens. */
  private static final int PREFILL_TOKENS = 2048;

  private final EngineConfig config;
  private final ModelDescription description;
  private final BackendFactory backends;
  private final long budget;
  private final long swap;

  /**
   * @throws BulkgenException SETTING_INVALID listing every setting that does not fit the model
   */
  public MemoryPlanner(EngineConfig config, ModelDescription description) {
    this.config = config;
    this.description = description;
    List<String> mistakes = mistakes(config, description.config());
    if (!mistakes.isEmpty()) {
      throw new BulkgenException(ErrorCode.SETTING_INVALID, String.join("\n", mistakes));
    }
    this.backends = new BackendFactory(config);
    // Measured once: the free memory changes while a plan is made.
    this.budget = config.memoryBytes().orElseGet(this::defaultBudget);
    this.swap = config.scheduling().swapBytes().orElseGet(backends::defaultSwap);
  }

  /**
   * @throws BulkgenException MEMORY_PLAN_REFUSED with the numbers that would fit
   */
  public MemoryPlan plan() {
    CachePolicy policy = CachePolicy.parse(config.kvCache(), description.config());
    CacheLayout layout = CacheLayout.of(policy, description.config());
    MemoryPlan plan = plan(layout);
    requireHeap(plan);
    return plan;
  }

  private MemoryPlan plan(CacheLayout layout) {
    return MemoryPlan.of(
        layout, maxModelLen(), config.maxBatch(), (length, batch) -> demand(layout, length, batch));
  }

  /** The CPU backend's workspace is heap, whatever the budget. */
  private void requireHeap(MemoryPlan plan) {
    long heap = Runtime.getRuntime().maxMemory();
    long most = heap / 4 * 3;
    if (plan.demand().placement() == WeightPlacement.RESIDENT
        || plan.demand().workspace() <= most) {
      return;
    }
    CacheLayout layout = plan.layout();
    Optional<String> smaller =
        MemoryPlan.smaller(
            maxModelLen(),
            config.maxBatch(),
            (length, batch) -> demand(layout, length, batch).workspace() <= most);
    throw BulkgenException.of(
        ErrorCode.MEMORY_PLAN_REFUSED,
        "the workspace for %d sequences of up to %d tokens is %s, the heap %s: raise -Xmx to"
            + " %s%s",
        config.maxBatch(),
        maxModelLen(),
        ByteSize.format(plan.demand().workspace()),
        ByteSize.format(heap),
        ByteSize.format(plan.demand().workspace() / 3 * 4 + 1),
        smaller.map(settings -> ", or lower " + settings).orElse(""));
  }

  /** A table of what each cache policy would make of the same budget. */
  public String compare() {
    return PolicyComparison.render(
        description.config(),
        maxModelLen(),
        policies(),
        layout -> demand(layout, maxModelLen(), config.maxBatch()));
  }

  /** A table of the parts of the plan with each cache policy; of one that is refused, no parts. */
  public String compareParts() {
    return PolicyComparison.renderParts(
        policies().stream().map(policy -> CacheLayout.of(policy, description.config())).toList(),
        layout -> {
          try {
            return Optional.of(plan(layout));
          } catch (BulkgenException e) {
            return Optional.empty();
          }
        });
  }

  private List<CachePolicy> policies() {
    CachePolicy own = CachePolicy.parse(config.kvCache(), description.config());
    List<CachePolicy> policies = new ArrayList<>(PolicyComparison.POLICIES);
    if (!policies.contains(own)) {
      policies.add(own);
    }
    return policies;
  }

  /** The longest sequence, prompt and output, in tokens. */
  public int maxModelLen() {
    return config.maxModelLen().orElse(description.config().maxPositions());
  }

  /**
   * The workspace grows with the pages, and takes their place. It is sized for the most pages that
   * could stand beside the smallest one: an upper bound, and for a budget that just holds one
   * longest sequence the smallest itself, so that the budget a refusal names is accepted.
   */
  private MemoryDemand demand(CacheLayout layout, int maxModelLen, int maxBatch) {
    long longest = MemoryPlan.pagesOf(layout, maxModelLen);
    MemoryDemand smallest = demand(layout, maxModelLen, maxBatch, longest);
    long spare = smallest.cacheBudget() - MemoryPlan.leastBytes(layout, smallest);
    long most = longest + Math.max(0, spare) / layout.pageBytes();
    return demand(layout, maxModelLen, maxBatch, Math.min(maxBatch * longest, most));
  }

  private MemoryDemand demand(CacheLayout layout, int maxModelLen, int maxBatch, long pages) {
    int prefillTokens = prefillTokens(maxModelLen, maxBatch);
    long staging =
        MemoryPlan.mostStaging(
            layout, maxModelLen, prefillTokens, config.scheduling().prefixSharing());
    CacheCapacity capacity =
        new CacheCapacity(
            saturated(pages),
            maxBatch,
            prefillTokens,
            maxModelLen,
            saturated(staging),
            0, // what is in host memory takes none of the device's
            0);
    return backends.demand(description, layout, capacity, budget, swap);
  }

  private static int saturated(long pages) {
    return (int) Math.min(pages, Integer.MAX_VALUE);
  }

  private int prefillTokens(int maxModelLen, int maxBatch) {
    long all = (long) maxBatch * maxModelLen;
    int wanted =
        config.scheduling().maxPrefillTokens().orElse(Math.max(maxModelLen, PREFILL_TOKENS));
    return (int) Math.min(wanted, all);
  }

  private long defaultBudget() {
    return (long) (config.memoryFraction() * Math.max(0, backends.freeBytes(description)));
  }

  private static List<String> mistakes(EngineConfig config, ModelConfig model) {
    List<String> mistakes = new ArrayList<>();
    double fraction = config.memoryFraction();
    if (!(fraction > 0 && fraction <= 1)) {
      mistakes.add("memory-fraction: " + fraction + " is outside (0, 1]");
    }
    if (config.maxBatch() < 1) {
      mistakes.add("max-batch: " + config.maxBatch() + " is less than 1");
    }
    if (config.maxBatch() > EngineSettings.MAX_BATCH_LIMIT) {
      mistakes.add(
          "max-batch: " + config.maxBatch() + " is more than " + EngineSettings.MAX_BATCH_LIMIT);
    }
    if (config.threads() < 1) {
      mistakes.add("threads: " + config.threads() + " is less than 1");
    }
    int length = config.maxModelLen().orElse(model.maxPositions());
    config
        .scheduling()
        .maxPrefillTokens()
        .ifPresent(
            tokens -> {
              int least =
                  CacheLayout.of(CachePolicy.parse(config.kvCache(), model), model)
                      .promptAlignment();
              if (tokens < least && tokens < length) {
                mistakes.add(
                    "max-prefill-tokens: "
                        + tokens
                        + " is less than "
                        + least
                        + ", the shortest part of a prompt with this kv-cache");
              }
            });
    if (length < 2) {
      mistakes.add("max-model-len: " + length + " leaves no room for a prompt and a token");
    }
    if (length > model.maxPositions()) {
      mistakes.add(
          "max-model-len: " + length + " is more than the model's " + model.maxPositions());
    }
    return mistakes;
  }
}
