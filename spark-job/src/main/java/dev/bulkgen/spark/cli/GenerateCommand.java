package dev.bulkgen.spark.cli;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.Setting;
import dev.bulkgen.spark.config.SettingCatalogue;
import dev.bulkgen.spark.config.SettingSources;
import dev.bulkgen.spark.config.SettingsReader;
import dev.bulkgen.spark.job.GenerateJob;
import dev.bulkgen.spark.job.JobConsole;
import dev.bulkgen.spark.job.JobReport;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine;
import picocli.CommandLine.Model.ArgGroupSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** {@code bulkgen generate}; its options are those of {@link SettingCatalogue}. */
final class GenerateCommand implements Callable<Integer> {
  private static final String SETTINGS_FILE = "--settings";

  private final JobConsole console;
  private CommandSpec spec;

  private GenerateCommand(JobConsole console) {
    this.console = console;
  }

  static CommandLine create(JobConsole console) {
    GenerateCommand command = new GenerateCommand(console);
    CommandSpec spec = CommandSpec.wrapWithoutInspection(command);
    command.spec = spec;
    spec.name("generate").mixinStandardHelpOptions(true);
    spec.usageMessage()
        .description("Generate a completion for every row of a dataset.")
        .synopsisHeading("")
        .customSynopsis("bulkgen generate --model DIR --input PATH --output PATH [options]")
        .abbreviateSynopsis(true)
        .sortOptions(false)
        .width(110)
        .footer(
            "",
            "Exit status: 0 done, 1 wrong use or another error, 2 too many failed rows,",
            "3 settings differ from the folder's, 4 the engine could not load.");
    for (Setting.Group group : Setting.Group.values()) {
      ArgGroupSpec.Builder builder =
          ArgGroupSpec.builder()
              .heading(String.format("%n%s%n", group.title()))
              .exclusive(false)
              .validate(false)
              .order(group.ordinal());
      int order = 0;
      for (Setting setting : SettingCatalogue.all()) {
        if (setting.group() == group) {
          builder.addArg(option(setting, order++));
        }
      }
      if (group == Setting.Group.JOB) {
        builder.addArg(settingsFile(order));
      }
      spec.addArgGroup(builder.build());
    }
    return new CommandLine(spec);
  }

  private static OptionSpec settingsFile(int order) {
    return OptionSpec.builder(SETTINGS_FILE)
        .paramLabel("FILE")
        .type(String.class)
        .description("Settings file (HOCON) with these names; the command line goes before it")
        .order(order)
        .build();
  }

  private static OptionSpec option(Setting setting, int order) {
    OptionSpec.Builder option =
        OptionSpec.builder("--" + setting.name())
            .order(order)
            .description(describe(setting).replace("%", "%%"));
    return switch (setting.kind()) {
      case FLAG -> option.type(Boolean.class).arity("0").build();
      case LIST ->
          option
              .type(List.class)
              .auxiliaryTypes(String.class)
              .arity("1")
              .paramLabel(setting.placeholder())
              .build();
      default -> option.type(String.class).arity("1").paramLabel(setting.placeholder()).build();
    };
  }

  private static String describe(Setting setting) {
    boolean shown =
        setting.defaultValue() != null
            && setting.kind() != Setting.Kind.FLAG
            && setting.kind() != Setting.Kind.LIST;
    return shown ? setting.help() + " (default: " + setting.defaultValue() + ")" : setting.help();
  }

  @Override
  public Integer call() {
    JobSettings settings = settings();
    SparkSession session = session(settings);
    try {
      Optional<JobReport> report = new GenerateJob(session, settings, console).run();
      return report.map(done -> conclude(settings, done)).orElse(ExitCode.DONE).status();
    } finally {
      session.stop();
    }
  }

  private ExitCode conclude(JobSettings settings, JobReport report) {
    console.out().println("Report");
    console.out().print(report.render());
    console.out().printf("Results are in %s%n", settings.output().path());
    if (report.outcome() == JobReport.Outcome.DONE) {
      return ExitCode.DONE;
    }
    throw BulkgenException.of(
        ErrorCode.TOO_MANY_ROW_ERRORS,
        "stopped: %d of %d rows failed, more than --max-error-rate %s; finished units are kept, see"
            + " the column 'error'",
        report.failedRows(),
        report.plannedRows(),
        settings.run().maxErrorRate());
  }

  /** Row settings of the model's authors, then the file, then the command line. */
  private JobSettings settings() {
    Map<String, String> given = new LinkedHashMap<>();
    String file = spec.commandLine().getParseResult().matchedOptionValue(SETTINGS_FILE, null);
    if (file != null) {
      given.putAll(SettingSources.readFile(Path.of(file)));
    }
    for (Setting setting : SettingCatalogue.all()) {
      Object value =
          spec.commandLine().getParseResult().matchedOptionValue("--" + setting.name(), null);
      if (value != null) {
        given.put(setting.name(), text(value));
      }
    }
    given.computeIfPresent("model", (name, path) -> Path.of(path).toAbsolutePath().toString());
    given.computeIfPresent("input", (name, path) -> absolute(path));
    given.computeIfPresent("output", (name, path) -> absolute(path));
    // Mistakes of the user's are told before the model's files are looked at.
    JobSettings checked = SettingsReader.read(given);
    if (!Files.isDirectory(checked.engine().model())) {
      return checked;
    }
    Map<String, String> all =
        new LinkedHashMap<>(
            SettingSources.modelDefaults(
                ModelFolder.describe(checked.engine().model()).generationDefaults()));
    all.putAll(given);
    return SettingsReader.read(all);
  }

  private static String text(Object value) {
    if (value instanceof List<?> items) {
      return SettingSources.list(items.stream().map(String::valueOf).toList());
    }
    return String.valueOf(value);
  }

  /** A path without a scheme is one of this machine, seen from where the command was typed. */
  private static String absolute(String path) {
    boolean hasScheme = path.matches("[A-Za-z][A-Za-z0-9+.-]*:/.*");
    return hasScheme || path.isBlank()
        ? path
        : Path.of(path).toAbsolutePath().normalize().toString();
  }

  private static SparkSession session(JobSettings settings) {
    SparkSession.Builder builder =
        SparkSession.builder()
            .appName("bulkgen generate")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.sql.session.timeZone", "UTC");
    if (System.getProperty("spark.master") == null) {
      builder.master(settings.run().master());
    }
    if (settings.run().master().toLowerCase(Locale.ROOT).startsWith("local")) {
      builder
          .config("spark.ui.enabled", "false")
          .config("spark.driver.host", "localhost")
          .config("spark.driver.bindAddress", "127.0.0.1")
          .config("spark.sql.warehouse.dir", System.getProperty("java.io.tmpdir"));
    }
    settings.run().sparkConf().forEach(builder::config);
    requireUser();
    return builder.getOrCreate();
  }

  /** Hadoop asks for the user's name and fails obscurely where the system has none. */
  private static void requireUser() {
    try {
      UserGroupInformation.getCurrentUser();
    } catch (java.io.IOException e) {
      throw new BulkgenException(
          ErrorCode.SETTING_INVALID,
          "the system knows no name for this user: set HADOOP_USER_NAME",
          e);
    }
  }
}
