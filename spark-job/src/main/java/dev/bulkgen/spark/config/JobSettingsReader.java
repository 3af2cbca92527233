package dev.bulkgen.spark.config;

import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Mistakes;
import dev.bulkgen.config.Setting;
import dev.bulkgen.config.Settings;
import dev.bulkgen.config.SettingsReader;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.model.GenerationDefaults;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import dev.bulkgen.sampling.SamplingSettings;
import dev.bulkgen.spark.config.InputSettings.CompletionColumn;
import dev.bulkgen.spark.config.InputSettings.PromptForm;
import dev.bulkgen.spark.config.InputSettings.Wrapping;
import dev.bulkgen.spark.config.OutputSettings.TokenIdColumn;
import dev.bulkgen.spark.config.OutputSettings.TokenLogprobColumns;
import dev.bulkgen.spark.config.RunSettings.Mode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Turns settings into {@link JobSettings}: the same way from the command line, from a settings file
 * and, on an executor, from what the driver sent.
 */
public final class JobSettingsReader {
  private static final SettingsReader READER = new SettingsReader(SettingCatalogue.settings());

  private final TaskType task;
  private final Settings given;
  private final Mistakes mistakes;

  private JobSettingsReader(TaskType task, Settings given, Mistakes mistakes) {
    this.task = task;
    this.given = given;
    this.mistakes = mistakes;
  }

  /** Knows every setting of a job, whatever its task. */
  public static SettingsReader reader() {
    return READER;
  }

  /**
   * @param spelled {@link JobSettings#values()}
   * @throws BulkgenException SETTING_UNKNOWN, SETTING_INVALID listing every mistake
   */
  public static JobSettings read(TaskType task, Map<String, String> spelled) {
    return read(
        task,
        READER.parseSpelled(spelled, "job settings"),
        GenerationDefaults.none(),
        new Mistakes());
  }

  /**
   * Reads as a driver does: what is absent is taken from what the model's authors advise, then from
   * the defaults. Mistakes of the user's are told before the model's files are looked at.
   *
   * @param mistakes found before, told together with those found here
   * @param models finds a model's folder on this machine; asked once the settings are right
   * @throws BulkgenException SETTING_UNKNOWN, SETTING_INVALID listing every mistake
   */
  public static JobSettings resolve(
      TaskType task, Settings given, Mistakes mistakes, Function<JobSettings, Path> models) {
    JobSettings checked = read(task, given, GenerationDefaults.none(), mistakes);
    Path model = models.apply(checked);
    return Files.isDirectory(model)
        ? read(task, given, ModelFolder.describe(model).generationDefaults(), new Mistakes())
        : checked;
  }

  /**
   * @param given what is absent is taken from {@code model}, then from the defaults
   * @param mistakes found before, told together with those found here
   * @throws BulkgenException SETTING_UNKNOWN, SETTING_INVALID listing every mistake
   */
  public static JobSettings read(
      TaskType task, Settings given, GenerationDefaults model, Mistakes mistakes) {
    JobSettingsReader reader = new JobSettingsReader(task, given, mistakes);
    reader.refuseOtherTasks();
    reader.require(EngineSettings.MODEL, DataSettings.OUTPUT);
    reader.requireOneInput();
    reader.checkMaster();
    reader.checkFormats();
    reader.checkCompression();
    PromptForm form = reader.promptForm();
    Map<String, String> sparkConf = reader.sparkConf();
    SamplingParams sampling = reader.sampling(model);
    Optional<CompletionColumn> completions = reader.completions();
    mistakes.throwIfAny();
    return new JobSettings(
        task,
        reader.input(form, completions),
        reader.output(),
        reader.run(sparkConf),
        sampling,
        reader.engine(),
        reader.values(sampling));
  }

  /** What another task knows would have no effect, which nobody means. */
  private void refuseOtherTasks() {
    for (JobSetting setting : SettingCatalogue.all()) {
      if (setting.tasks().contains(task) || given.given(setting.setting()).isEmpty()) {
        continue;
      }
      if (setting.group() == JobSetting.Group.SAMPLING) {
        mistakes.invalid(
            "%s: bulkgen %s draws no tokens, so sampling has no effect; leave it out",
            setting.name(), task.spelling());
      } else {
        mistakes.invalid(
            "%s: bulkgen %s has no use for it, bulkgen %s has; leave it out",
            setting.name(), task.spelling(), setting.tasks().iterator().next().spelling());
      }
    }
  }

  @SafeVarargs
  private void require(Setting<String>... settings) {
    for (Setting<String> setting : settings) {
      if (given.find(setting).filter(value -> !value.isBlank()).isEmpty()) {
        mistakes.invalid("%s is missing: give --%s", setting.name(), setting.name());
      }
    }
  }

  private void requireOneInput() {
    if (given.find(DataSettings.INPUT_TABLE).isEmpty()) {
      require(DataSettings.INPUT);
    } else if (given.find(DataSettings.INPUT).isPresent()) {
      mistakes.invalid("give one of input and input-table");
    } else if (given.value(DataSettings.INPUT_FORMAT) == InputFormat.OPENAI_BATCH) {
      mistakes.invalid("input-table: a batch file is a file; give --input");
    }
  }

  private void checkMaster() {
    String master = given.value(ExecutionSettings.MASTER);
    if (master.startsWith("local")
        && !master.startsWith("local-cluster")
        && !LocalMaster.matches(master)) {
      mistakes.invalid("master: '%s' is not local, local[N] or local[*]", master);
    }
  }

  private void checkFormats() {
    if (task == TaskType.SCORE) {
      if (given.value(DataSettings.INPUT_FORMAT) == InputFormat.OPENAI_BATCH) {
        mistakes.invalid("input-format: the requests of an openai-batch input ask for texts only");
      }
      if (given.value(DataSettings.OUTPUT_FORMAT) == OutputFormat.OPENAI_BATCH) {
        mistakes.invalid(
            "output-format: openai-batch has no form for scores; give parquet, arrow or jsonl");
      }
    }
  }

  private void checkCompression() {
    OutputFormat format = given.value(DataSettings.OUTPUT_FORMAT);
    given
        .find(DataSettings.COMPRESSION)
        .filter(compression -> !format.compressions().contains(compression))
        .ifPresent(
            compression ->
                mistakes.invalid(
                    "compression: output-format %s takes %s, not %s",
                    Setting.spelling(format),
                    format.compressions().stream()
                        .map(Setting::spelling)
                        .collect(Collectors.joining(", ")),
                    Setting.spelling(compression)));
  }

  private PromptForm promptForm() {
    boolean chat =
        given.value(DataSettings.CHAT) || given.find(DataSettings.SYSTEM_PROMPT).isPresent();
    Wrapping wrapping = chat ? Wrapping.CHAT : Wrapping.PLAIN;
    Optional<String> messages = given.find(DataSettings.MESSAGES_COLUMN);
    Optional<String> template = given.find(DataSettings.PROMPT_TEMPLATE);
    Optional<String> column = given.find(DataSettings.PROMPT_COLUMN);
    if (given.value(DataSettings.INPUT_FORMAT) == InputFormat.OPENAI_BATCH) {
      return requestBody();
    }
    if (task == TaskType.SCORE && given.find(DataSettings.TEXT_COLUMN).isPresent()) {
      return noPrompt();
    }
    if (Stream.of(messages, template, column).filter(Optional::isPresent).count() > 1) {
      mistakes.invalid("give one of prompt-column, messages-column and prompt-template");
    }
    return messages
        .<PromptForm>map(PromptForm.MessagesColumn::new)
        .or(() -> template.map(text -> new PromptForm.Template(text, wrapping)))
        .orElseGet(() -> new PromptForm.Column(column, wrapping));
  }

  private PromptForm requestBody() {
    for (Setting<?> setting :
        List.of(
            DataSettings.PROMPT_COLUMN,
            DataSettings.MESSAGES_COLUMN,
            DataSettings.PROMPT_TEMPLATE,
            DataSettings.SAMPLING_PARAMS_COLUMN)) {
      if (given.find(setting).isPresent()) {
        mistakes.invalid(
            "%s: the requests of an openai-batch input say it themselves", setting.name());
      }
    }
    if (given.value(DataSettings.CHAT)) {
      mistakes.invalid("chat: the requests of an openai-batch input say it by their url");
    }
    return new PromptForm.RequestBody();
  }

  private PromptForm noPrompt() {
    for (Setting<?> setting :
        List.of(
            DataSettings.PROMPT_COLUMN,
            DataSettings.MESSAGES_COLUMN,
            DataSettings.PROMPT_TEMPLATE,
            DataSettings.SYSTEM_PROMPT,
            DataSettings.CHAT)) {
      if (given.given(setting).isPresent() && !given.given(setting).equals(Optional.of(false))) {
        mistakes.invalid("%s: the texts of text-column have no prompt before them", setting.name());
      }
    }
    return new PromptForm.None();
  }

  private Optional<CompletionColumn> completions() {
    if (task != TaskType.SCORE) {
      return Optional.empty();
    }
    List<CompletionColumn> columns =
        Stream.of(DataSettings.COMPLETION_COLUMN, DataSettings.TEXT_COLUMN)
            .flatMap(
                setting ->
                    given
                        .find(setting)
                        .map(name -> new CompletionColumn(name, setting.name()))
                        .stream())
            .toList();
    if (columns.size() != 1) {
      mistakes.invalid(
          "give %s completion-column, scored after its prompt, and text-column, scored whole",
          columns.isEmpty() ? "one of" : "only one of");
    }
    return columns.stream().findFirst();
  }

  /** Requests have names; by them their file is read again. */
  private Optional<String> idColumn() {
    return given.value(DataSettings.INPUT_FORMAT) == InputFormat.OPENAI_BATCH
        ? given.find(DataSettings.ID_COLUMN).or(() -> Optional.of("custom_id"))
        : given.find(DataSettings.ID_COLUMN);
  }

  private Map<String, String> sparkConf() {
    Map<String, String> conf = new LinkedHashMap<>();
    for (String entry : given.find(ExecutionSettings.CONF).orElse(List.of())) {
      int equals = entry.indexOf('=');
      if (equals < 1) {
        mistakes.invalid("conf: '%s' is not KEY=VALUE", entry);
      } else {
        conf.put(entry.substring(0, equals).trim(), entry.substring(equals + 1).trim());
      }
    }
    return conf;
  }

  private SamplingParams sampling(GenerationDefaults model) {
    if (task != TaskType.GENERATE) {
      return SamplingParams.GREEDY;
    }
    try {
      return SamplingSettings.toBuilder(given).orElse(SamplingParamsBuilder.of(model)).build();
    } catch (BulkgenException e) {
      e.getMessage().lines().forEach(mistakes::invalid);
      return SamplingParams.GREEDY;
    }
  }

  private InputSettings input(PromptForm form, Optional<CompletionColumn> completions) {
    return new InputSettings(
        given.find(DataSettings.INPUT).orElse(""),
        given.find(DataSettings.INPUT_TABLE),
        given.value(DataSettings.INPUT_FORMAT),
        form,
        given.find(DataSettings.SYSTEM_PROMPT),
        completions,
        idColumn(),
        given.find(DataSettings.ANSWER_COLUMN),
        given.find(DataSettings.SAMPLING_PARAMS_COLUMN),
        given.find(DataSettings.LIMIT).map(OptionalLong::of).orElseGet(OptionalLong::empty));
  }

  private OutputSettings output() {
    return new OutputSettings(
        given.value(DataSettings.OUTPUT),
        given.value(DataSettings.OUTPUT_FORMAT),
        given
            .find(DataSettings.COMPRESSION)
            .orElse(given.value(DataSettings.OUTPUT_FORMAT).compressions().get(0)),
        given.value(DataSettings.OUTPUT_COLUMN),
        given.value(DataSettings.TOKEN_IDS)
            ? TokenIdColumn.ALWAYS
            : TokenIdColumn.WHEN_PROMPT_IS_IDS,
        given.value(DataSettings.TOKEN_LOGPROBS)
            ? TokenLogprobColumns.ALWAYS
            : TokenLogprobColumns.NEVER);
  }

  private RunSettings run(Map<String, String> sparkConf) {
    return new RunSettings(
        given.value(ExecutionSettings.MASTER),
        sparkConf,
        given.find(ExecutionSettings.UNIT_ROWS).map(OptionalInt::of).orElseGet(OptionalInt::empty),
        given.value(ExecutionSettings.UNIT_MINUTES),
        given.value(ExecutionSettings.MAX_ERROR_RATE),
        given.value(ExecutionSettings.RESUME),
        given.value(ExecutionSettings.DRY_RUN) ? Mode.DRY_RUN : Mode.RUN,
        given.find(ExecutionSettings.MODEL_CACHE),
        given.find(ExecutionSettings.GPU_SLOTS).map(OptionalInt::of).orElseGet(OptionalInt::empty),
        given
            .find(ExecutionSettings.PRICE_PER_HOUR)
            .map(OptionalDouble::of)
            .orElseGet(OptionalDouble::empty));
  }

  /** Without a word on threads, an engine takes as many as Spark gives to its process. */
  private EngineConfig engine() {
    int threads = LocalMaster.threads(given.value(ExecutionSettings.MASTER));
    Map<String, String> fallback =
        Map.of(EngineSettings.THREADS.name(), Setting.spell(Math.min(threads, 1024)));
    return EngineSettings.toConfig(given.orElse(READER.parseSpelled(fallback, "master")));
  }

  /** Sampling goes in as it was resolved: an executor does not ask the model's files again. */
  private SortedMap<String, String> values(SamplingParams sampling) {
    SortedMap<String, String> values = new TreeMap<>();
    for (JobSetting setting : SettingCatalogue.of(task)) {
      given
          .find(setting.setting())
          .ifPresent(value -> values.put(setting.name(), Setting.spell(value)));
    }
    if (task != TaskType.GENERATE) {
      return Collections.unmodifiableSortedMap(values);
    }
    values.put(SamplingSettings.TEMPERATURE.name(), Setting.spell(sampling.temperature()));
    values.put(SamplingSettings.TOP_P.name(), Setting.spell(sampling.topP()));
    values.put(SamplingSettings.TOP_K.name(), Setting.spell(sampling.topK()));
    values.put(SamplingSettings.MIN_P.name(), Setting.spell(sampling.minP()));
    values.put(
        SamplingSettings.REPETITION_PENALTY.name(), Setting.spell(sampling.repetitionPenalty()));
    return Collections.unmodifiableSortedMap(values);
  }
}
