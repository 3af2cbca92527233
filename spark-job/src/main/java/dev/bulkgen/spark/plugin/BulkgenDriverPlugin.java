package dev.bulkgen.spark.plugin;

import com.codahale.metrics.Gauge;
import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Mistakes;
import dev.bulkgen.config.Setting;
import dev.bulkgen.config.Settings;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.spark.config.ExecutionSettings;
import dev.bulkgen.spark.config.LocalPaths;
import dev.bulkgen.spark.config.SessionSettings;
import dev.bulkgen.spark.config.SettingCatalogue;
import dev.bulkgen.spark.storage.ModelCache;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.PluginContext;
import scala.Tuple2;

/**
 * The driver's part: says once which engine all executors have, and gathers what they tell. Spark
 * calls {@link #receive} on threads that serve all plugins, so it only notes.
 */
final class BulkgenDriverPlugin implements DriverPlugin {
  private static final Logger LOG = LogManager.getLogger(BulkgenDriverPlugin.class);

  private final Set<String> known = ConcurrentHashMap.newKeySet();
  private PluginContext context;

  /** An executor's last words. */
  record Loss(String executor, String host, String cause) implements java.io.Serializable {
    String inWords() {
      return String.format(
          "executor %s on %s lost its device and ends, Spark replaces it: %s",
          executor, host, cause);
    }
  }

  @Override
  public Map<String, String> init(SparkContext spark, PluginContext pluginContext) {
    context = pluginContext;
    ExecutorNews.begin(this::register);
    return spec(spark).map(EngineSpec::toMap).orElse(Map.of());
  }

  /** What is wrong with settings or model stops the application here, before any executor. */
  private static Optional<EngineSpec> spec(SparkContext spark) {
    Map<String, String> conf = new LinkedHashMap<>();
    for (Tuple2<String, String> entry : spark.conf().getAll()) {
      conf.put(entry._1(), entry._2());
    }
    Mistakes mistakes = new Mistakes();
    Settings given = SessionSettings.of(conf, mistakes);
    mistakes.throwIfAny();
    Map<String, String> values = new LinkedHashMap<>();
    for (Setting<?> setting : SettingCatalogue.settings()) {
      given.find(setting).ifPresent(value -> values.put(setting.name(), Setting.spell(value)));
    }
    if (!values.containsKey(EngineSettings.MODEL.name())) {
      return Optional.empty();
    }
    String name = LocalPaths.absolute(given.value(EngineSettings.MODEL));
    values.put(EngineSettings.MODEL.name(), name);
    Path model =
        ModelCache.in(given.find(ExecutionSettings.MODEL_CACHE))
            .fetch(name, spark.hadoopConfiguration());
    return Optional.of(EngineSpec.of(values, spark.master(), ModelFolder.open(model).digest()));
  }

  @Override
  public void registerMetrics(String application, PluginContext pluginContext) {
    EngineGauges.register(
        pluginContext.metricRegistry(),
        "",
        () ->
            EngineFigures.total(
                ExecutorNews.reports().stream().map(EngineReport::figures).toList()));
    pluginContext
        .metricRegistry()
        .register("executors", (Gauge<Integer>) () -> ExecutorNews.reports().size());
  }

  @Override
  public Object receive(Object message) {
    if (message instanceof EngineReport report) {
      ExecutorNews.note(report);
    } else if (message instanceof Loss loss) {
      LOG.error(loss.inWords());
      ExecutorNews.noteLoss(loss.inWords());
      return "noted";
    }
    return null;
  }

  /** Once for each executor that has an engine; Spark's registry takes later gauges too. */
  private void register(EngineReport report) {
    String executor = report.executor();
    if (known.add(executor)) {
      EngineGauges.register(
          context.metricRegistry(),
          "executor_" + executor + ".",
          () -> ExecutorNews.report(executor).map(EngineReport::figures));
    }
  }
}
