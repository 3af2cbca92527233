package dev.bulkgen.spark.cli;

import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Mistakes;
import dev.bulkgen.config.Setting;
import dev.bulkgen.config.Settings;
import dev.bulkgen.config.SettingsReader;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.config.DataSettings;
import dev.bulkgen.spark.config.JobSetting;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.LocalPaths;
import dev.bulkgen.spark.config.SettingCatalogue;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.job.BulkJob;
import dev.bulkgen.spark.job.JobConsole;
import dev.bulkgen.spark.job.JobReport;
import dev.bulkgen.spark.sink.ShardFormat;
import dev.bulkgen.spark.storage.ModelCache;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.apache.hadoop.security.UserGroupInformation;
import org.apache.spark.SparkConf;
import org.apache.spark.deploy.SparkHadoopUtil;
import org.apache.spark.sql.SparkSession;
import picocli.CommandLine;
import picocli.CommandLine.Model.ArgGroupSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * {@code bulkgen generate} and {@code bulkgen score}; the options are those of {@link
 * SettingCatalogue}.
 */
final class JobCommand implements Callable<Integer> {
  private static final String SETTINGS_FILE = "--settings";

  private final TaskType task;
  private final JobConsole console;
  private CommandSpec spec;

  private JobCommand(TaskType task, JobConsole console) {
    this.task = task;
    this.console = console;
  }

  static CommandLine create(TaskType task, JobConsole console) {
    JobCommand command = new JobCommand(task, console);
    CommandSpec spec = CommandSpec.wrapWithoutInspection(command);
    command.spec = spec;
    spec.name(task.spelling()).mixinStandardHelpOptions(true);
    spec.usageMessage()
        .description(
            task == TaskType.GENERATE
                ? "Generate a completion for every row of a dataset."
                : "Score the completions or texts of every row of a dataset: their log-likelihood.")
        .synopsisHeading("")
        .customSynopsis(
            "bulkgen "
                + task.spelling()
                + " --model DIR --input PATH --output PATH "
                + (task == TaskType.SCORE ? "(--completion-column | --text-column) NAME " : "")
                + "[options]")
        .abbreviateSynopsis(true)
        .sortOptions(false)
        .width(110)
        .footer(
            "",
            "Exit status: 0 done, 1 wrong use or another error, 2 too many failed rows,",
            "3 settings differ from the folder's, 4 the engine could not load.");
    addOptions(spec, task);
    return new CommandLine(spec);
  }

  private static void addOptions(CommandSpec spec, TaskType task) {
    for (JobSetting.Group group : JobSetting.Group.values()) {
      ArgGroupSpec.Builder builder =
          ArgGroupSpec.builder()
              .heading(String.format("%n%s%n", group.title()))
              .exclusive(false)
              .validate(false)
              .order(group.ordinal());
      int order = 0;
      for (JobSetting setting : SettingCatalogue.of(task)) {
        if (setting.group() == group) {
          builder.addArg(option(setting, order++).build());
        }
      }
      if (group == JobSetting.Group.JOB) {
        builder.addArg(settingsFile(order));
      }
      if (!builder.args().isEmpty()) {
        spec.addArgGroup(builder.build());
      }
    }
    // What other tasks know is read too, so that it can be refused with the reason.
    SettingCatalogue.all().stream()
        .filter(setting -> !setting.tasks().contains(task))
        .forEach(setting -> spec.addOption(option(setting, 0).hidden(true).build()));
  }

  private static OptionSpec settingsFile(int order) {
    return OptionSpec.builder(SETTINGS_FILE)
        .paramLabel("FILE")
        .type(String.class)
        .description("Settings file (HOCON) with these names; the command line goes before it")
        .order(order)
        .build();
  }

  private static OptionSpec.Builder option(JobSetting setting, int order) {
    OptionSpec.Builder option =
        OptionSpec.builder("--" + setting.name())
            .order(order)
            .description(describe(setting.setting()).replace("%", "%%"));
    return switch (setting.setting().kind()) {
      case FLAG -> option.type(Boolean.class).arity("0");
      case LIST ->
          option
              .type(List.class)
              .auxiliaryTypes(String.class)
              .arity("1")
              .paramLabel(setting.placeholder());
      default -> option.type(String.class).arity("1").paramLabel(setting.placeholder());
    };
  }

  private static String describe(Setting<?> setting) {
    String text = setting.description().replaceFirst("\\.$", "");
    boolean hidden = setting.kind() == Setting.Kind.FLAG || setting.defaultText().isEmpty();
    String usual = setting.defaultText().replaceAll("^\\(|\\)$", "");
    return hidden || usual.equals("none") ? text : text + " (default: " + usual + ")";
  }

  @Override
  public Integer call() {
    JobSettings settings = settings();
    SparkSession session = session(settings);
    try {
      Optional<JobReport> report = new BulkJob(session, settings, console).run();
      return report.map(done -> conclude(settings, done)).orElse(ExitCode.DONE).status();
    } finally {
      session.stop();
    }
  }

  private ExitCode conclude(JobSettings settings, JobReport report) {
    console.out().println("Report");
    console.out().print(report.render());
    String output = settings.output().path();
    console
        .out()
        .printf(
            "Results are in %s: spark.read.format(\"%s\").load(\"%s\")%n",
            output, ShardFormat.of(settings).sparkFormat(), output);
    report.requireDone(settings.run().maxErrorRate());
    return ExitCode.DONE;
  }

  /** The command line goes before the file, the file before what the model's authors advise. */
  private JobSettings settings() {
    Mistakes mistakes = new Mistakes();
    SettingsReader reader = JobSettingsReader.reader();
    Settings given = reader.parse(commandLine(), "command line", mistakes);
    String file = spec.commandLine().getParseResult().matchedOptionValue(SETTINGS_FILE, null);
    if (file != null) {
      given = given.orElse(reader.read(Path.of(file), mistakes));
    }
    given = absolutePaths(given).orElse(given);
    return JobSettingsReader.resolve(task, given, mistakes, JobCommand::modelFolder);
  }

  /** The model's defaults are wanted before there is a session: a remote model is fetched now. */
  private static Path modelFolder(JobSettings settings) {
    SparkConf conf = new SparkConf();
    settings.run().sparkConf().forEach(conf::set);
    return ModelCache.folderOf(settings, SparkHadoopUtil.get().newConfiguration(conf));
  }

  private Map<String, List<String>> commandLine() {
    Map<String, List<String>> given = new LinkedHashMap<>();
    for (JobSetting setting : SettingCatalogue.all()) {
      Object value =
          spec.commandLine().getParseResult().matchedOptionValue("--" + setting.name(), null);
      if (value instanceof List<?> items) {
        given.put(setting.name(), items.stream().map(String::valueOf).toList());
      } else if (value != null) {
        given.put(setting.name(), List.of(String.valueOf(value)));
      }
    }
    return given;
  }

  private static Settings absolutePaths(Settings given) {
    Map<String, String> paths = new LinkedHashMap<>();
    for (Setting<String> setting :
        List.of(EngineSettings.MODEL, DataSettings.INPUT, DataSettings.OUTPUT)) {
      given.find(setting).ifPresent(path -> paths.put(setting.name(), LocalPaths.absolute(path)));
    }
    return JobSettingsReader.reader().parseSpelled(paths, "command line");
  }

  private SparkSession session(JobSettings settings) {
    SparkSession.Builder builder =
        SparkSession.builder()
            .appName("bulkgen " + task.spelling())
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
    ExecutorPlugins.configure(settings).forEach(builder::config);
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
