package dev.bulkgen.spark.job;

import dev.bulkgen.engine.MemoryPlanner;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.spark.config.InputSettings;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.OutputFormat;
import dev.bulkgen.spark.config.RunSettings;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.ledger.FrozenSettings;
import dev.bulkgen.spark.ledger.Ledger;
import dev.bulkgen.spark.plan.PlanFolder;
import dev.bulkgen.spark.plan.UnitPlan;
import dev.bulkgen.spark.plan.UnitPlanner;
import dev.bulkgen.spark.plugin.EngineHolder;
import dev.bulkgen.spark.plugin.EngineSpec;
import dev.bulkgen.spark.sink.ShardFormat;
import dev.bulkgen.spark.sink.ShardIdentity;
import dev.bulkgen.spark.source.Columns;
import dev.bulkgen.spark.source.CompletionReader;
import dev.bulkgen.spark.source.DataFrameInput;
import dev.bulkgen.spark.source.OwnSession;
import dev.bulkgen.spark.source.PromptInput;
import dev.bulkgen.spark.source.PromptReader;
import dev.bulkgen.spark.source.PromptSource;
import dev.bulkgen.spark.source.PromptTable;
import dev.bulkgen.spark.source.RowJson;
import dev.bulkgen.spark.storage.ModelCache;
import dev.bulkgen.text.ChatTemplate;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.time.temporal.ChronoUnit;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.SparkSession;

/**
 * {@code bulkgen generate} and {@code bulkgen score}: plans the input into units once, runs the
 * units that have no sound shard yet, and reports. Everything that can be wrong is looked at before
 * anything is written.
 */
public final class BulkJob {
  private final SparkSession session;
  private final JobSettings settings;
  private final JobConsole console;
  private final Supplier<PromptInput> source;

  public BulkJob(SparkSession session, JobSettings settings, JobConsole console) {
    this(session, settings, console, () -> input(session, settings));
  }

  /**
   * @param source of the rows, in place of the settings' input; asked once
   */
  public BulkJob(
      SparkSession session,
      JobSettings settings,
      JobConsole console,
      Supplier<PromptInput> source) {
    this.session = OwnSession.of(session);
    this.settings = settings;
    this.console = console;
    this.source = source;
  }

  private static PromptInput input(SparkSession session, JobSettings settings) {
    InputSettings input = settings.input();
    if (input.table().isEmpty()) {
      return PromptInput.files(session, settings);
    }
    if (settings.run().mode() == RunSettings.Mode.DRY_RUN) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID,
          "dry-run: the rows of a table are written down before they are planned; give files, or"
              + " leave it out");
    }
    String folder =
        Ledger.inputFolder(new org.apache.hadoop.fs.Path(settings.output().path())).toString();
    return DataFrameInput.table(session, input.table().get(), input.writtenDown(folder));
  }

  /**
   * @return the report; none for a dry run
   * @throws BulkgenException for what stops the job; what was committed before stays. If the thread
   *     was interrupted, the cause is an InterruptedException, and the thread's flag is set
   */
  public Optional<JobReport> run() {
    try {
      return lookAndRun();
    } catch (Exception e) {
      // Scala code throws checked exceptions unannounced, so javac lets no narrower type stand.
      if (SparkFailure.isInterrupt(e)) {
        // Not before: file systems fail in a thread with the flag, and the lock would stay.
        Thread.currentThread().interrupt();
        throw SparkFailure.cause(e);
      }
      throw e;
    }
  }

  private Optional<JobReport> lookAndRun() {
    SparkContext spark = session.sparkContext();
    Path model = ModelCache.folderOf(settings, spark.hadoopConfiguration());
    String modelDigest = ModelFolder.open(model).digest();
    PromptInput input = source.get();
    checkColumns(input, model);
    if (settings.run().mode() == RunSettings.Mode.DRY_RUN) {
      dryRun(PromptSource.open(session, settings.input()), model);
      return Optional.empty();
    }
    EngineSpec engine = EngineSpec.of(settings.values(), spark.master(), modelDigest);
    try (Ledger ledger =
        Ledger.open(
            settings.output().path(),
            settings.run().resume(),
            spark.hadoopConfiguration(),
            notice -> console.err().println("bulkgen: " + notice))) {
      return Optional.of(run(ledger, input, modelDigest, engine));
    } finally {
      // On a driver alone: executors keep theirs for the next job.
      EngineHolder.close(engine);
    }
  }

  /** The lock is given back after this, when no task of a job that failed writes any more. */
  private JobReport run(Ledger ledger, PromptInput input, String modelDigest, EngineSpec engine) {
    OwnJobs jobs = OwnJobs.named(session.sparkContext(), "bulkgen");
    jobs.begin();
    try {
      return planAndRun(ledger, input, modelDigest, engine);
    } catch (Exception e) {
      jobs.cancel();
      if (jobs.awaitEnd(false) && !SparkFailure.isInterrupt(e)) {
        throw SparkFailure.interrupt(e);
      }
      throw e;
    } finally {
      jobs.end();
    }
  }

  private JobReport planAndRun(
      Ledger ledger, PromptInput input, String modelDigest, EngineSpec engine) {
    SparkContext spark = session.sparkContext();
    LocalDateTime now = LocalDateTime.now().truncatedTo(ChronoUnit.SECONDS);
    Optional<PromptTable> fresh =
        ledger.isBegun() ? Optional.empty() : Optional.of(input.freeze(ledger.storage()));
    String inputDigest = fresh.map(PromptTable::digest).orElseGet(input::digest);
    FrozenSettings asked =
        new FrozenSettings(settings.task(), settings.rowValues(), modelDigest, inputDigest, now);
    Optional<FrozenSettings> earlier = ledger.earlierRun(asked);
    FrozenSettings frozen = earlier.orElse(asked);
    StageResources resources = new StageResources(spark, settings.run().gpuSlots());
    EngineBoard board = new EngineOpener(spark, resources, console).open(engine);
    PlanFolder folder = new PlanFolder(ledger.storage(), ledger.planFolder());
    // A plan of a run that was killed before it began says nothing of its settings.
    UnitPlan plan =
        earlier
            .flatMap(known -> folder.read())
            .orElseGet(() -> freeze(folder, fresh.orElseGet(() -> input.freeze(ledger.storage()))));
    input.release(ledger.storage());
    ShardIdentity identity =
        new ShardIdentity(plan.digest(), settings.digest(modelDigest), ShardFormat.of(settings));
    TaskSettings task =
        TaskSettings.of(settings, plan, folder.path().toString(), identity, engine, frozen.begun());
    ledger.begin(frozen);
    UnitRunner units =
        new UnitRunner(session, settings, console, ledger, plan, task, board, resources);
    return OwnSession.within(session, units::run);
  }

  private void checkColumns(PromptInput input, Path model) {
    PromptReader prompts = PromptReader.create(settings.input(), input.format(), input.schema());
    Optional<CompletionReader> completions =
        settings
            .input()
            .completions()
            .map(column -> CompletionReader.create(column, input.schema()));
    // What they need is told before anything is planned.
    boolean isTextScored = completions.filter(CompletionReader::readsText).isPresent();
    if (isTextScored && prompts.readsTokenIds()) {
      throw BulkgenException.of(
          ErrorCode.INPUT_INVALID,
          "prompts are token ids and completions are text, whose tokens depend on the text before"
              + " them: give both as text or both as token ids");
    }
    if (isTextScored || prompts.readsText()) {
      requireTokenizer(model);
    }
    if (prompts.usesChat()) {
      requireChatTemplate(model);
    }
    if (settings.output().format() == OutputFormat.JSONL) {
      RowJson.requireTextKeys(input.schema());
    }
    ResultColumns.of(settings, prompts, input.schema());
    Columns columns = new Columns(input.schema());
    settings.input().idColumn().ifPresent(name -> columns.require(name, "id-column"));
    settings.input().answerColumn().ifPresent(name -> ResultColumns.requireText(columns, name));
  }

  private void requireTokenizer(Path model) {
    if (!Files.exists(model.resolve("tokenizer.json"))) {
      throw BulkgenException.of(
          ErrorCode.TOKENIZER_INVALID,
          "%s: there is no tokenizer.json; add it, or give prompts%s as token ids",
          model,
          settings.task() == TaskType.SCORE ? " and completions" : "");
    }
  }

  private static void requireChatTemplate(Path model) {
    if (!ChatTemplate.exists(model)) {
      throw BulkgenException.of(
          ErrorCode.CHAT_TEMPLATE_INVALID,
          "%s: the model has no chat template; give prompts as text, without chat, messages or a"
              + " system prompt",
          model);
    }
  }

  private UnitPlan freeze(PlanFolder folder, PromptTable table) {
    return OwnSession.within(
        session, () -> folder.freeze(UnitPlanner.measure(session, settings, table)));
  }

  private void dryRun(PromptTable table, Path model) {
    UnitPlanner planner = UnitPlanner.measure(session, settings, table);
    planner.refuseDuplicateIds();
    console.out().println("Memory plan");
    console.out().print(memoryPlan(model).indent(2));
    console.out().println("Unit plan");
    console
        .out()
        .printf(
            Locale.ROOT,
            "  %,d rows in about %,d units, about %,d tokens; nothing was written%n",
            planner.rows(),
            planner.units(),
            planner.cost());
  }

  private String memoryPlan(Path model) {
    return new MemoryPlanner(settings.engine(), ModelFolder.describe(model)).plan().render();
  }
}
