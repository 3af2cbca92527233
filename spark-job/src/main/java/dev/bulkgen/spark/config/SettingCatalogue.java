package dev.bulkgen.spark.config;

import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Setting;
import dev.bulkgen.sampling.SamplingSettings;
import dev.bulkgen.spark.config.JobSetting.Effect;
import dev.bulkgen.spark.config.JobSetting.Group;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Every setting of a job, in the order of the help. */
public final class SettingCatalogue {
  /**
   * Settings of data and engine that change no row. Model and input count by their content, which
   * is digested, and not by where they lie.
   */
  private static final Set<Setting<?>> SAME_ROWS =
      Set.of(
          EngineSettings.MODEL,
          EngineSettings.MEMORY,
          EngineSettings.MEMORY_FRACTION,
          EngineSettings.MAX_BATCH,
          EngineSettings.THREADS,
          EngineSettings.DEVICE,
          DataSettings.INPUT,
          DataSettings.INPUT_TABLE,
          DataSettings.OUTPUT);

  private static final Set<TaskType> GENERATION = Set.of(TaskType.GENERATE);
  private static final Set<TaskType> SCORING = Set.of(TaskType.SCORE);

  /** Settings of data that not every task knows. */
  private static final Map<Setting<?>, Set<TaskType>> TASKS =
      Map.of(
          DataSettings.SAMPLING_PARAMS_COLUMN, GENERATION,
          DataSettings.ANSWER_COLUMN, GENERATION,
          DataSettings.OUTPUT_COLUMN, GENERATION,
          DataSettings.TOKEN_IDS, GENERATION,
          DataSettings.COMPLETION_COLUMN, SCORING,
          DataSettings.TEXT_COLUMN, SCORING,
          DataSettings.TOKEN_LOGPROBS, SCORING);

  private static final Map<String, String> PLACEHOLDERS =
      Map.ofEntries(
          Map.entry("model", "DIR"),
          Map.entry("path", "PATH"),
          Map.entry("column", "NAME"),
          Map.entry("table", "NAME"),
          Map.entry("text", "TEXT"),
          Map.entry("url", "URL"),
          Map.entry("kv-cache", "POLICY"),
          Map.entry("memory", "SIZE"),
          Map.entry("stop", "TEXT"),
          Map.entry("stop-token-ids", "ID"),
          Map.entry("conf", "KEY=VALUE"));

  private static final Map<String, JobSetting> SETTINGS = new LinkedHashMap<>();

  static {
    add(Group.DATA, EngineSettings.MODEL);
    DataSettings.ALL.forEach(setting -> add(Group.DATA, setting));
    SamplingSettings.ALL.forEach(setting -> add(Group.SAMPLING, setting));
    EngineSettings.ALL.stream()
        .filter(setting -> setting != EngineSettings.MODEL)
        .forEach(setting -> add(Group.ENGINE, setting));
    ExecutionSettings.ALL.forEach(setting -> add(Group.JOB, setting));
  }

  private SettingCatalogue() {}

  public static List<JobSetting> all() {
    return List.copyOf(SETTINGS.values());
  }

  /** Those that the task knows. */
  public static List<JobSetting> of(TaskType task) {
    return SETTINGS.values().stream().filter(setting -> setting.tasks().contains(task)).toList();
  }

  public static List<Setting<?>> settings() {
    return SETTINGS.values().stream().<Setting<?>>map(JobSetting::setting).toList();
  }

  public static Optional<JobSetting> find(String name) {
    return Optional.ofNullable(SETTINGS.get(name));
  }

  private static void add(Group group, Setting<?> setting) {
    boolean sameRows = group == Group.JOB || SAME_ROWS.contains(setting);
    Effect effect = sameRows ? Effect.RUN : Effect.ROWS;
    Set<TaskType> tasks =
        group == Group.SAMPLING
            ? GENERATION
            : TASKS.getOrDefault(setting, Set.of(TaskType.values()));
    SETTINGS.put(
        setting.name(), new JobSetting(setting, group, effect, tasks, placeholder(setting)));
  }

  private static String placeholder(Setting<?> setting) {
    String special = PLACEHOLDERS.get(setting.name());
    if (special == null) {
      special = PLACEHOLDERS.get(setting.form());
    }
    if (special != null) {
      return special;
    }
    if (setting.kind() == Setting.Kind.FLAG) {
      return "";
    }
    if (setting.form().startsWith("integer")) {
      return "N";
    }
    return setting.form().startsWith("number") ? "X" : setting.form().replace(", ", "|");
  }
}
