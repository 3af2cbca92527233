package dev.bulkgen.spark.cli;

import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Setting;
import dev.bulkgen.spark.config.ExecutionSettings;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.LocalMaster;
import dev.bulkgen.spark.config.RunSettings;
import dev.bulkgen.spark.config.SessionSettings;
import dev.bulkgen.spark.plugin.BulkgenPlugin;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Spark's settings for the plugin, so that engines load while the input is planned. */
final class ExecutorPlugins {
  private static final String PLUGINS = "spark.plugins";

  private ExecutorPlugins() {}

  /** None for a run in this process. */
  static Map<String, String> configure(JobSettings settings) {
    Map<String, String> conf = new LinkedHashMap<>();
    String master = System.getProperty("spark.master", settings.run().master());
    if (LocalMaster.matches(master)) {
      return conf;
    }
    String given =
        settings.run().sparkConf().getOrDefault(PLUGINS, System.getProperty(PLUGINS, ""));
    String ours = BulkgenPlugin.class.getName();
    if (!List.of(given.split(",")).contains(ours)) {
      conf.put(PLUGINS, given.isBlank() ? ours : given + "," + ours);
    }
    // A stage with GPUs of its own has executors of its own, and the others need no engine.
    if (settings.run().gpuSlots().isEmpty() && settings.run().mode() != RunSettings.Mode.DRY_RUN) {
      List<Setting<?>> engine = new ArrayList<>(EngineSettings.ALL);
      engine.add(ExecutionSettings.MODEL_CACHE);
      for (Setting<?> setting : engine) {
        String value = settings.values().get(setting.name());
        if (value != null) {
          conf.put(SessionSettings.PREFIX + setting.name(), value);
        }
      }
    }
    return conf;
  }
}
