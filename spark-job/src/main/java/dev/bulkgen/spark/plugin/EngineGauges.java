package dev.bulkgen.spark.plugin;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;

/** Names of an engine's figures in Spark's metrics. */
final class EngineGauges {
  private static final Map<String, Function<EngineFigures, Number>> GAUGES = gauges();

  private EngineGauges() {}

  private static Map<String, Function<EngineFigures, Number>> gauges() {
    Map<String, Function<EngineFigures, Number>> gauges = new LinkedHashMap<>();
    gauges.put("prompt_tokens", EngineFigures::promptTokens);
    gauges.put("generated_tokens", EngineFigures::generatedTokens);
    gauges.put("cached_tokens", EngineFigures::cachedTokens);
    gauges.put("swap_outs", EngineFigures::swapOuts);
    gauges.put("queue_depth", EngineFigures::queueDepth);
    gauges.put("batch_occupancy", EngineFigures::occupancy);
    gauges.put("pages_used", EngineFigures::usedPages);
    gauges.put("pages", EngineFigures::pages);
    gauges.put("cache_bytes_peak", EngineFigures::peakCacheBytes);
    gauges.put("errors", EngineFigures::failures);
    return gauges;
  }

  /** Zero as long as there is no engine. */
  static void register(
      MetricRegistry registry, String prefix, Supplier<Optional<EngineFigures>> figures) {
    GAUGES.forEach(
        (name, value) ->
            registry.register(
                prefix + name, (Gauge<Number>) () -> figures.get().map(value).orElse(0)));
  }
}
