package dev.bulkgen.spark.api;

import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Mistakes;
import dev.bulkgen.config.Setting;
import dev.bulkgen.config.Settings;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.spark.config.DataSettings;
import dev.bulkgen.spark.config.ExecutionSettings;
import dev.bulkgen.spark.config.InputFormat;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.JobSettingsReader;
import dev.bulkgen.spark.config.LocalPaths;
import dev.bulkgen.spark.config.SessionSettings;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.job.BulkJob;
import dev.bulkgen.spark.job.JobConsole;
import dev.bulkgen.spark.job.JobReport;
import dev.bulkgen.spark.ledger.Ledger;
import dev.bulkgen.spark.sink.ShardFormat;
import dev.bulkgen.spark.source.DataFrameInput;
import dev.bulkgen.spark.source.PromptInput;
import dev.bulkgen.spark.storage.ModelCache;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.logging.log4j.LogManager;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.execution.datasources.DataSource;
import scala.jdk.javaapi.CollectionConverters;

/** A call of the library as a job. */
final class JobCall {
  private static final String DEFAULT_FOLDER = "bulkgen";
  private static final int DIGEST_LETTERS = 32;

  private final TaskType task;
  private final SparkSession session;
  private final Map<String, List<String>> given;

  JobCall(TaskType task, SparkSession session, Map<String, List<String>> given) {
    this.task = task;
    this.session = session;
    this.given = given;
  }

  Ready over(String input) {
    Function<JobSettings, PromptInput> source = settings -> PromptInput.files(session, settings);
    return ready(Map.of(DataSettings.INPUT.name(), qualified(input)), source);
  }

  Ready over(Dataset<Row> rows, Optional<String> name) {
    if (given.containsKey(DataSettings.INPUT.name())) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID,
          "'%s' is set, and a DataFrame is given: one of them is the input",
          DataSettings.INPUT.name());
    }
    return ready(
        Map.of(DataSettings.INPUT_FORMAT.name(), Setting.spelling(InputFormat.PARQUET)),
        settings -> new DataFrameInput(rows, name, settings.input()));
  }

  Ready batch(Dataset<Row> rows, long batchId) {
    List<String> base = given.get(DataSettings.OUTPUT.name());
    if (base == null) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID, "a stream needs a folder for its batches: set 'output'");
    }
    Map<String, List<String>> settings = new TreeMap<>(given);
    settings.put(DataSettings.OUTPUT.name(), List.of(base.get(0) + "/batch=" + batchId));
    return new JobCall(task, session, settings).over(rows, Optional.empty());
  }

  /** Settles what the input is and where the output goes. */
  private Ready ready(
      Map<String, String> inputSettings, Function<JobSettings, PromptInput> source) {
    List<String> output = given.get(DataSettings.OUTPUT.name());
    if (output != null) {
      JobSettings settings = settings(inputSettings, qualified(String.join(" ", output)));
      return new Ready(session, settings, source.apply(settings));
    }
    String root = qualified(warehouse() + "/" + DEFAULT_FOLDER);
    JobSettings undecided = settings(inputSettings, root);
    String model = ModelFolder.open(modelFolder(undecided)).digest();
    String rows = source.apply(undecided).digest();
    String name = undecided.digest(model + rows).substring(0, DIGEST_LETTERS);
    JobSettings settings = settings(inputSettings, root + "/" + name);
    return new Ready(session, settings, source.apply(settings));
  }

  private String warehouse() {
    return session.conf().get("spark.sql.warehouse.dir");
  }

  private JobSettings settings(Map<String, String> inputSettings, String output) {
    Mistakes mistakes = new Mistakes();
    Map<String, List<String>> texts = new TreeMap<>(given);
    inputSettings.forEach((name, value) -> texts.put(name, List.of(value)));
    texts.put(DataSettings.OUTPUT.name(), List.of(output));
    // Rows that are no files yet will lie there.
    texts.putIfAbsent(
        DataSettings.INPUT.name(), List.of(Ledger.inputFolder(new Path(output)).toString()));
    Settings call = SessionSettings.parse(texts, "settings", mistakes);
    Settings conf =
        SessionSettings.of(CollectionConverters.asJava(session.conf().getAll()), task, mistakes);
    Settings master =
        JobSettingsReader.reader()
            .parseSpelled(
                Map.of(ExecutionSettings.MASTER.name(), session.sparkContext().master()),
                "session");
    return JobSettingsReader.resolve(
        task, absoluteModel(call.orElse(conf)).orElse(master), mistakes, this::modelFolder);
  }

  private java.nio.file.Path modelFolder(JobSettings settings) {
    return ModelCache.folderOf(settings, session.sparkContext().hadoopConfiguration());
  }

  private static Settings absoluteModel(Settings settings) {
    Map<String, String> model =
        settings
            .given(EngineSettings.MODEL)
            .map(path -> Map.of(EngineSettings.MODEL.name(), LocalPaths.absolute(path)))
            .orElse(Map.of());
    return JobSettingsReader.reader().parseSpelled(model, "settings").orElse(settings);
  }

  /** The path as it is the same in every process. */
  private String qualified(String path) {
    Configuration configuration = session.sparkContext().hadoopConfiguration();
    try {
      Path named = new Path(path);
      return named.getFileSystem(configuration).makeQualified(named).toString();
    } catch (IOException | IllegalArgumentException e) {
      throw new BulkgenException(
          ErrorCode.SETTING_INVALID, "'" + path + "' is no path: " + e.getMessage(), e);
    }
  }

  /**
   * A job that is ready to run.
   *
   * @param caller whose session the results are read in
   */
  record Ready(SparkSession caller, JobSettings settings, PromptInput input) {

    FinishedJob run() {
      JobConsole console = JobConsole.log(LogManager.getLogger(Bulkgen.class));
      JobReport report = new BulkJob(caller, settings, console, () -> input).run().orElseThrow();
      console.out().print(report.render());
      report.requireDone(settings.run().maxErrorRate());
      return new FinishedJob(settings.output().path(), report);
    }

    Dataset<Row> read() {
      return caller
          .read()
          .format(ShardFormat.of(settings).sparkFormat())
          .option(DataSource.GLOB_PATHS_KEY(), false)
          .load(run().output());
    }
  }
}
