package dev.bulkgen.spark.plugin;

import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Setting;
import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.Engine;
import dev.bulkgen.engine.EngineMetrics;
import dev.bulkgen.engine.GenerateRequest;
import dev.bulkgen.engine.Score;
import dev.bulkgen.engine.ScoreRequest;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.storage.ModelCache;
import dev.bulkgen.text.Tokenizer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.LongAdder;
import org.apache.hadoop.conf.Configuration;

/** Opens engines and puts them behind the gateway that tasks know. */
final class EngineLoader {
  private EngineLoader() {}

  /**
   * Fetches the model if it is elsewhere, and opens it.
   *
   * @param device that Spark assigned; goes before the setting
   * @throws BulkgenException NODE_DIFFERS, as {@link ModelCache#fetch}, as {@link Engine#open}
   */
  static EngineGateway open(EngineSpec spec, OptionalInt device, Configuration configuration) {
    spec.requireSameBuild();
    Path model = ModelCache.in(spec.cacheFolder()).fetch(spec.model(), configuration);
    spec.requireSameModel(ModelFolder.open(model).digest());
    Map<String, String> values = new TreeMap<>(spec.values());
    values.put(EngineSettings.MODEL.name(), model.toString());
    device.ifPresent(number -> values.put(EngineSettings.DEVICE.name(), Setting.spell(number)));
    EngineConfig config =
        EngineSettings.toConfig(JobSettingsReader.reader().parseSpelled(values, "engine settings"));
    return new Opened(Engine.open(config), System.currentTimeMillis(), new LongAdder());
  }

  private record Opened(Engine engine, long opened, LongAdder failures) implements EngineGateway {
    @Override
    public CompletableFuture<List<Completion>> submit(GenerateRequest request) {
      return counted(engine.submit(request));
    }

    @Override
    public CompletableFuture<List<Score>> score(ScoreRequest request) {
      return counted(engine.score(request));
    }

    private <T> CompletableFuture<T> counted(CompletableFuture<T> row) {
      row.whenComplete(
          (done, error) -> {
            if (error != null && !row.isCancelled()) {
              failures.increment();
            }
          });
      return row;
    }

    @Override
    public Optional<Tokenizer> tokenizer() {
      return engine.tokenizer();
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
          MemoryPlan.bytesPerToken(engine.memoryPlan().layout()),
          metrics.load().usedPages(),
          engine.memoryPlan().pages(),
          metrics.promptTokens(),
          metrics.cachedTokens(),
          metrics.generatedTokens(),
          metrics.swapOuts(),
          metrics.load().queued() + metrics.load().waiting(),
          failures.sum());
    }

    @Override
    public boolean isOpen() {
      return engine.isOpen();
    }

    @Override
    public void close() {
      engine.close();
    }
  }
}
