package dev.bulkgen.engine;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.MemoryDemand;
import dev.bulkgen.cache.MemoryDemand.WeightPlacement;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.cache.PolicyComparison;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelDescription;
import dev.bulkgen.sampling.TokenSampler;
import java.util.ArrayList;
import java.util.List;

/** Makes the memory plan of an engine from its settings and config.json alone. */
public final class MemoryPlanner {
  /** Prompts shorter than the longest share a step up to this many tokens. */
  private static final int PREFILL_TOKENS = 2048;

  private final EngineConfig config;
  private final ModelDescription description;

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
  }

  /**
   * @throws BulkgenException MEMORY_PLAN_REFUSED with the numbers that would fit
   */
  public MemoryPlan plan() {
    CachePolicy policy = CachePolicy.parse(config.kvCache(), description.config());
    CacheLayout layout = CacheLayout.of(policy, description.config());
    return MemoryPlan.of(layout, demand(layout));
  }

  /** A table of what each cache policy would make of the same budget. */
  public String compare() {
    CachePolicy own = CachePolicy.parse(config.kvCache(), description.config());
    List<CachePolicy> policies = new ArrayList<>(PolicyComparison.POLICIES);
    if (!policies.contains(own)) {
      policies.add(own);
    }
    return PolicyComparison.render(description.config(), maxModelLen(), policies, this::demand);
  }

  /** The longest sequence, prompt and output, in tokens. */
  public int maxModelLen() {
    return config.maxModelLen().orElse(description.config().maxPositions());
  }

  MemoryDemand demand(CacheLayout layout) {
    ModelConfig model = description.config();
    int maxModelLen = maxModelLen();
    long together = Math.min(PREFILL_TOKENS, (long) config.maxBatch() * maxModelLen);
    int prefillTokens = (int) Math.max(maxModelLen, together);
    WeightPlacement placement = BackendFactory.placement(config.backend());
    long budget = config.memoryBytes().orElseGet(() -> defaultBudget(placement));
    // The workspace grows with the pages, and they shrink with it: take the most pages there can
    // be.
    long wanted = config.maxBatch() * MemoryPlan.pagesOf(layout, maxModelLen);
    long mostPages = Math.min(wanted, Math.max(0, budget) / layout.pageBytes());
    CacheCapacity most =
        new CacheCapacity(
            (int) Math.min(mostPages, Integer.MAX_VALUE), config.maxBatch(), prefillTokens);
    return new MemoryDemand(
        budget,
        description.weightBytes(),
        placement,
        BackendFactory.workspaceBytes(config.backend(), model, layout, most, config.threads()),
        config.threads() * TokenSampler.scratchBytes(model.vocabSize()),
        0,
        config.maxBatch(),
        maxModelLen,
        prefillTokens);
  }

  /** Mapped weights are read from the system's file cache, so they need free memory too. */
  private long defaultBudget(WeightPlacement placement) {
    long mapped = placement == WeightPlacement.MAPPED ? description.weightBytes() : 0;
    long free = Math.min(HostMemory.freeBytes() - mapped, HostMemory.directLimit());
    return (long) (config.memoryFraction() * Math.max(0, free));
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
    if (config.threads() < 1) {
      mistakes.add("threads: " + config.threads() + " is less than 1");
    }
    int length = config.maxModelLen().orElse(model.maxPositions());
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
