package dev.bulkgen.spark.config;

import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.sampling.SamplingParams;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Everything a job was told, checked.
 *
 * @param sampling of generated texts; without effect where completions are scored
 * @param values each setting as {@link dev.bulkgen.config.Setting#spell} writes it, defaults
 *     included: what travels to executors (the records do not serialize) and what is compared on a
 *     resume
 */
public record JobSettings(
    TaskType task,
    InputSettings input,
    OutputSettings output,
    RunSettings run,
    SamplingParams sampling,
    EngineConfig engine,
    SortedMap<String, String> values) {

  /** The model as it was named: a folder, or where it is fetched from. */
  public String model() {
    return values.get(EngineSettings.MODEL.name());
  }

  /** The settings that change rows: a resumed run has to agree on these. */
  public SortedMap<String, String> rowValues() {
    SortedMap<String, String> kept = new TreeMap<>();
    values.forEach(
        (name, value) ->
            SettingCatalogue.find(name)
                .filter(setting -> setting.effect() == JobSetting.Effect.ROWS)
                .ifPresent(setting -> kept.put(name, value)));
    return kept;
  }

  /** SHA-256 of the task, {@link #rowValues()} and the model's digest. */
  public String digest(String modelDigest) {
    Digest digest = Digest.sha256();
    // Folders that were begun before there were tasks go on.
    if (task != TaskType.GENERATE) {
      digest.add(task.spelling());
    }
    for (Map.Entry<String, String> entry : rowValues().entrySet()) {
      digest.add(entry.getKey().getBytes(StandardCharsets.UTF_8));
      digest.add(entry.getValue().getBytes(StandardCharsets.UTF_8));
    }
    return digest.add(modelDigest.getBytes(StandardCharsets.UTF_8)).hex();
  }
}
