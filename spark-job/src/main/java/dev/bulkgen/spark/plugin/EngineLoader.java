package dev.bulkgen.spark.plugin;

import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.Engine;
import dev.bulkgen.engine.EngineMetrics;
import dev.bulkgen.engine.GenerateRequest;
import dev.bulkgen.error.BulkgenException;
import java.time.LocalDateTime;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/** Opens engines and puts them behind the gateway that tasks know. */
public final class EngineLoader {
  /** The settings an engine is opened with. */
  public static final List<String> SETTINGS =
      List.of(
          "model",
          "kv-cache",
          "backend",
          "dtype",
          "gemm",
          "memory",
          "memory-fraction",
          "max-batch",
          "max-model-len",
          "prompt-overflow",
          "threads",
          "master");

  private EngineLoader() {}

  /**
   * @param begun what chat templates may print as today
   * @throws BulkgenException as {@link Engine#open(EngineConfig, LocalDateTime)}
   */
  public static EngineGateway open(EngineConfig config, LocalDateTime begun) {
    return new Opened(Engine.open(config, begun));
  }

  private record Opened(Engine engine) implements EngineGateway {
    @Override
    public CompletableFuture<List<Completion>> submit(GenerateRequest request) {
      return engine.submit(request);
    }

    @Override
    public EngineFigures figures() {
      EngineMetrics metrics = engine.metrics();
      return new EngineFigures(
          engine.backendDescription(),
          engine.memoryPlan().render(),
          metrics.sequenceSteps(),
          metrics.steps() * metrics.slots(),
          metrics.peakCacheBytes(),
          engine.memoryPlan().cacheBytes(),
          metrics.promptTokens(),
          metrics.generatedTokens());
    }

    @Override
    public void close() {
      engine.close();
    }
  }
}
