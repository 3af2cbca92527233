package dev.bulkgen.spark.config;

import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.spark.config.InputSettings.PromptForm;
import dev.bulkgen.spark.config.InputSettings.Wrapping;
import dev.bulkgen.spark.config.OutputSettings.TokenIdColumn;
import dev.bulkgen.spark.config.RunSettings.Mode;
import dev.bulkgen.spark.config.RunSettings.ResumeMode;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;

/**
 * Turns named values into {@link JobSettings}: the same way from the command line, from a settings
 * file and, on an executor, from what the driver sent.
 */
public final class SettingsReader {
  private static final int MOST_THREADS = 4096;
  private static final int MOST_SAMPLES = 1024;
  private static final int MOST_IN_FLIGHT = 1 << 20;

  private final TypedValues values;
  private final Problems problems;

  private SettingsReader(TypedValues values, Problems problems) {
    this.values = values;
    this.problems = problems;
  }

  /**
   * @param given by setting name; what is absent takes its default
   * @throws BulkgenException SETTING_UNKNOWN, SETTING_INVALID listing every mistake
   */
  public static JobSettings read(Map<String, String> given) {
    Problems problems = new Problems();
    TreeMap<String, String> all = new TreeMap<>();
    for (Setting setting : SettingCatalogue.all()) {
      if (setting.defaultValue() != null) {
        all.put(setting.name(), setting.defaultValue());
      }
    }
    given.forEach((name, value) -> putKnown(all, name, value, problems));
    SettingsReader reader = new SettingsReader(new TypedValues(all, problems), problems);
    InputSettings input = reader.input();
    OutputSettings output = reader.output();
    RunSettings run = reader.run();
    SamplingParams sampling = reader.sampling();
    EngineConfig engine = reader.engine(run);
    problems.throwIfAny();
    return new JobSettings(
        input, output, run, sampling, engine, Collections.unmodifiableSortedMap(all));
  }

  private static void putKnown(
      Map<String, String> all, String name, String value, Problems problems) {
    if (SettingCatalogue.find(name).isPresent()) {
      all.put(name, value);
      return;
    }
    List<String> known = SettingCatalogue.all().stream().map(Setting::name).toList();
    Optional<String> nearest = Suggestion.nearest(name, known);
    problems.unknown(
        "setting '"
            + name
            + "' is unknown"
            + nearest.map(n -> ": did you mean " + n + "?").orElse(""));
  }

  private InputSettings input() {
    Optional<String> system = values.text("system-prompt");
    Wrapping wrapping = values.flag("chat") || system.isPresent() ? Wrapping.CHAT : Wrapping.PLAIN;
    Optional<String> messages = values.text("messages-column");
    Optional<String> template = values.text("prompt-template");
    Optional<String> column = values.text("prompt-column");
    if (List.of(messages, template, column).stream().filter(Optional::isPresent).count() > 1) {
      problems.invalid("give one of prompt-column, messages-column and prompt-template");
    }
    PromptForm form =
        messages
            .<PromptForm>map(PromptForm.MessagesColumn::new)
            .or(() -> template.map(text -> new PromptForm.Template(text, wrapping)))
            .orElseGet(() -> new PromptForm.Column(column, wrapping));
    OptionalLong limit = values.integer("limit", 1, Long.MAX_VALUE);
    return new InputSettings(
        values.required("input"),
        values.choice("input-format"),
        form,
        system,
        values.text("id-column"),
        values.text("answer-column"),
        limit);
  }

  private OutputSettings output() {
    return new OutputSettings(
        values.required("output"),
        values.required("output-column"),
        values.flag("token-ids") ? TokenIdColumn.ALWAYS : TokenIdColumn.WHEN_PROMPT_IS_IDS,
        values.choice("compression"));
  }

  private RunSettings run() {
    Map<String, String> conf = new LinkedHashMap<>();
    for (String entry : values.list("conf")) {
      int equals = entry.indexOf('=');
      if (equals < 1) {
        problems.invalid("conf: '%s' is not KEY=VALUE", entry);
        continue;
      }
      conf.put(entry.substring(0, equals).trim(), entry.substring(equals + 1).trim());
    }
    return new RunSettings(
        values.required("master"),
        conf,
        values.smallInteger("unit-rows", 1, 1_000_000),
        values.number("max-error-rate", 0, 1),
        ResumeMode.valueOf(constant(values.choice("resume"))),
        values.flag("dry-run") ? Mode.DRY_RUN : Mode.GENERATE);
  }

  private SamplingParams sampling() {
    Set<Integer> stopTokens = new HashSet<>();
    for (String id : values.list("stop-token-id")) {
      values
          .parseInteger("stop-token-id", id, 0, Integer.MAX_VALUE)
          .ifPresent(v -> stopTokens.add((int) v));
    }
    List<String> stops = values.list("stop");
    if (stops.contains("")) {
      problems.invalid("stop: an empty text would stop before the first token");
    }
    var maxTokens = values.smallInteger("max-tokens", 1, Integer.MAX_VALUE);
    int minTokens = values.smallInteger("min-tokens", 0, Integer.MAX_VALUE).orElse(0);
    if (maxTokens.isPresent() && minTokens > maxTokens.getAsInt()) {
      problems.invalid("min-tokens %d is above max-tokens %d", minTokens, maxTokens.getAsInt());
    }
    return new SamplingParams(
        maxTokens,
        minTokens,
        values.number("temperature", 0, 100),
        values.numberAbove("top-p", 0, 1),
        values.smallInteger("top-k", 0, Integer.MAX_VALUE).orElse(0),
        values.number("min-p", 0, 1),
        values.numberAbove("repetition-penalty", 0, 100),
        values.number("presence-penalty", -100, 100),
        values.number("frequency-penalty", -100, 100),
        values.integer("seed", Long.MIN_VALUE, Long.MAX_VALUE).orElse(0),
        stops,
        stopTokens,
        values.flag("ignore-eos"),
        values.smallInteger("n", 1, MOST_SAMPLES).orElse(1),
        java.util.OptionalInt.empty());
  }

  private EngineConfig engine(RunSettings run) {
    return new EngineConfig(
        Path.of(values.required("model")),
        values.required("kv-cache"),
        BackendChoice.valueOf(constant(values.choice("backend"))),
        values.bytes("memory"),
        values.numberAbove("memory-fraction", 0, 1),
        values.smallInteger("max-batch", 1, MOST_IN_FLIGHT).orElse(1),
        values.smallInteger("max-model-len", 2, Integer.MAX_VALUE),
        PromptOverflow.valueOf(constant(values.choice("prompt-overflow"))),
        values
            .smallInteger("threads", 1, MOST_THREADS)
            .orElseGet(() -> LocalMaster.threads(run.master())));
  }

  private static String constant(String choice) {
    return choice.toUpperCase(Locale.ROOT).replace('-', '_');
  }
}
