package dev.bulkgen.spark.sql;

import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Mistakes;
import dev.bulkgen.config.Setting;
import dev.bulkgen.config.Settings;
import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.GenerateRequest;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.sampling.SamplingSettings;
import dev.bulkgen.spark.config.DataSettings;
import dev.bulkgen.spark.config.Digest;
import dev.bulkgen.spark.config.ExecutionSettings;
import dev.bulkgen.spark.config.JobSetting;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.SessionSettings;
import dev.bulkgen.spark.config.SettingCatalogue;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.plugin.EngineHolder;
import dev.bulkgen.spark.plugin.EngineSpec;
import dev.bulkgen.spark.source.PromptReader;
import dev.bulkgen.spark.source.RowRequest;
import dev.bulkgen.spark.storage.ModelCache;
import java.io.Serializable;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneId;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.spark.SparkContext;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.GenericInternalRow;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.apache.spark.unsafe.types.UTF8String;
import scala.jdk.javaapi.CollectionConverters;

/**
 * Generates for one prompt at a time with the engine of the process it is in. The same prompt under
 * the same settings has the same text in every query: its draws are keyed by the prompt.
 */
final class RowGenerator implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final long KILL_CHECK_MILLIS = 200;
  private static final int MOST_READY = 64;
  private static final StructType PROMPT = new StructType().add("prompt", DataTypes.StringType);

  private final TreeMap<String, String> values;
  private final EngineSpec engine;
  private final LocalDateTime begun;
  private transient Map<Map<String, String>, Ready> ready;

  /** A call's settings, read once for all rows that give the same. */
  private record Ready(JobSettings settings, PromptReader prompts) {}

  private RowGenerator(TreeMap<String, String> values, EngineSpec engine, LocalDateTime begun) {
    this.values = values;
    this.engine = engine;
    this.begun = begun;
  }

  /**
   * With the {@code spark.bulkgen.NAME} of the session that are about engine, sampling and chat.
   *
   * @throws BulkgenException SETTING_UNKNOWN, SETTING_INVALID listing every mistake
   */
  static RowGenerator of(SparkSession session) {
    Mistakes mistakes = new Mistakes();
    Map<String, String> conf = new TreeMap<>(CollectionConverters.asJava(session.conf().getAll()));
    if (!conf.containsKey(SessionSettings.PREFIX + EngineSettings.MODEL.name())) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID,
          "%s needs a model: set %s%s to its folder",
          GenerateFunction.NAME,
          SessionSettings.PREFIX,
          EngineSettings.MODEL.name());
    }
    for (JobSetting setting : SettingCatalogue.all()) {
      boolean counts = isOfRow(setting) || setting.group() == JobSetting.Group.ENGINE;
      if (!counts && setting.setting() != EngineSettings.MODEL) {
        conf.remove(SessionSettings.PREFIX + setting.name());
      }
    }
    Settings given = SessionSettings.of(conf, mistakes);
    // A job's settings have to name where rows come from and go to; a function has no such places.
    Map<String, String> fixed =
        Map.of(
            DataSettings.INPUT.name(), "-",
            DataSettings.OUTPUT.name(), "-",
            ExecutionSettings.MASTER.name(), session.sparkContext().master());
    Settings all = JobSettingsReader.reader().parseSpelled(fixed, "session").orElse(given);
    SparkContext spark = session.sparkContext();
    JobSettings settings =
        JobSettingsReader.resolve(
            TaskType.GENERATE,
            all,
            mistakes,
            checked -> ModelCache.folderOf(checked, spark.hadoopConfiguration()));
    requireOneText(settings);
    // One moment for all executors: chat templates may print the day.
    LocalDateTime begun =
        LocalDateTime.ofInstant(Instant.ofEpochMilli(spark.startTime()), ZoneId.systemDefault());
    String model =
        ModelFolder.open(ModelCache.folderOf(settings, spark.hadoopConfiguration())).digest();
    EngineSpec engine = EngineSpec.of(settings.values(), spark.master(), model);
    return new RowGenerator(new TreeMap<>(settings.values()), engine, begun);
  }

  /** Settings that one call may have of its own. */
  private static boolean isOfRow(JobSetting setting) {
    return setting.group() == JobSetting.Group.SAMPLING
        || setting.setting() == DataSettings.CHAT
        || setting.setting() == DataSettings.SYSTEM_PROMPT;
  }

  private static void requireOneText(JobSettings settings) {
    boolean samples = settings.sampling().n() != 1;
    if (samples || settings.sampling().logprobs().isPresent()) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID,
          "%s: %s gives one text a row, and nothing else",
          (samples ? SamplingSettings.N : SamplingSettings.LOGPROBS).name(),
          GenerateFunction.NAME);
    }
  }

  /**
   * Waits for the text.
   *
   * @param settings of this call, by name
   * @throws BulkgenException what is wrong with the prompt or the settings, or what stopped the
   *     engine; the row's error code stands before the message
   */
  String generate(String prompt, Map<String, String> settings) {
    try {
      Ready call = ready(settings);
      InternalRow row = new GenericInternalRow(new Object[] {UTF8String.fromString(prompt)});
      String key = Digest.sha256().add(prompt).hex();
      RowRequest asked = call.prompts().request(row);
      GenerateRequest request =
          new GenerateRequest(
              key, asked.prompt().at(begun), asked.params(call.settings().sampling()));
      return EngineHolder.use(engine, opened -> await(opened.submit(request)));
    } catch (BulkgenException e) {
      throw new BulkgenException(
          e.code(), GenerateFunction.NAME + ": " + e.code() + ": " + e.getMessage(), e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new TaskKilledException("the task was interrupted");
    }
  }

  private static String await(CompletableFuture<List<Completion>> row) {
    while (true) {
      try {
        return row.get(KILL_CHECK_MILLIS, TimeUnit.MILLISECONDS).get(0).text();
      } catch (TimeoutException e) {
        if (TaskContext.get() != null && TaskContext.get().isInterrupted()) {
          row.cancel(false);
          throw new TaskKilledException("the task was killed; its sequence is cancelled");
        }
      } catch (ExecutionException e) {
        if (e.getCause() instanceof BulkgenException known) {
          throw known;
        }
        throw new BulkgenException(
            ErrorCode.INTERNAL, "the engine failed: " + e.getCause(), e.getCause());
      } catch (InterruptedException e) {
        row.cancel(false);
        Thread.currentThread().interrupt();
        throw new TaskKilledException("the task was interrupted");
      }
    }
  }

  EngineSpec engine() {
    return engine;
  }

  private synchronized Ready ready(Map<String, String> settings) {
    // Settings may be made of a row's columns: each may then be another one.
    if (ready == null || ready.size() >= MOST_READY) {
      ready = new HashMap<>();
    }
    return ready.computeIfAbsent(settings, this::read);
  }

  private Ready read(Map<String, String> settings) {
    Mistakes mistakes = new Mistakes();
    for (String name : settings.keySet()) {
      SettingCatalogue.find(name)
          .filter(setting -> !isOfRow(setting))
          .ifPresent(
              setting ->
                  mistakes.invalid(
                      "%s: a call gives settings of sampling and chat; set %s%s for the session",
                      name, SessionSettings.PREFIX, name));
    }
    Map<String, List<String>> texts = new TreeMap<>();
    settings.forEach((name, value) -> texts.put(name, List.of(value)));
    Settings call = SessionSettings.parse(texts, "settings", mistakes);
    mistakes.throwIfAny();
    TreeMap<String, String> all = new TreeMap<>(values);
    for (Setting<?> setting : SettingCatalogue.settings()) {
      call.given(setting).ifPresent(value -> all.put(setting.name(), Setting.spell(value)));
    }
    JobSettings read = JobSettingsReader.read(TaskType.GENERATE, all);
    requireOneText(read);
    return new Ready(read, PromptReader.create(read.input(), "sql", PROMPT));
  }
}
