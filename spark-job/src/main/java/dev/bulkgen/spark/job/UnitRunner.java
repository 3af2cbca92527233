package dev.bulkgen.spark.job;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.ledger.Ledger;
import dev.bulkgen.spark.plan.PlanSchema;
import dev.bulkgen.spark.plan.UnitPlan;
import dev.bulkgen.spark.plan.UnitSpec;
import dev.bulkgen.spark.plugin.EngineFigures;
import dev.bulkgen.spark.plugin.EngineHolder;
import dev.bulkgen.spark.plugin.ExecutorNews;
import dev.bulkgen.spark.plugin.LiveProgress;
import dev.bulkgen.spark.sink.UnitFacts;
import dev.bulkgen.spark.storage.ParquetRowReader;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;

/** Runs the units of a plan that are not committed, and commits each as it finishes. */
final class UnitRunner {
  private static final int MOST_NAMED = 10;
  private static final int SLOWEST = 10;

  private final SparkSession session;
  private final JobSettings settings;
  private final JobConsole console;
  private final Ledger ledger;
  private final UnitPlan plan;
  private final TaskSettings task;
  private final EngineBoard board;
  private final UnitTimes times = new UnitTimes();
  private final StageResources resources;

  UnitRunner(
      SparkSession session,
      JobSettings settings,
      JobConsole console,
      Ledger ledger,
      UnitPlan plan,
      TaskSettings task,
      EngineBoard board,
      StageResources resources) {
    this.session = session;
    this.settings = settings;
    this.console = console;
    this.ledger = ledger;
    this.plan = plan;
    this.task = task;
    this.board = board;
    this.resources = resources;
  }

  /**
   * @return the report, which is also in the output folder
   * @throws BulkgenException for what stops the job other than failed rows
   */
  JobReport run() {
    Ledger.Recovery found = ledger.recover(session.sparkContext(), plan, task.identity());
    warn(found.damaged());
    Map<Integer, UnitFacts> reused = found.committed();
    List<UnitSpec> open =
        plan.units().stream().filter(unit -> !reused.containsKey(unit.unit())).toList();
    announce(reused.size());
    long reusedRows = reused.values().stream().mapToLong(UnitFacts::rows).sum();
    double seconds;
    session.sparkContext().addSparkListener(board);
    board.begin();
    try (ProgressReporter progress = new ProgressReporter(console, () -> state(reusedRows))) {
      if (!open.isEmpty() && !tooManyFailed()) {
        run(open, progress);
        ExecutorNews.takeLosses().forEach(loss -> progress.tell(loss + "\n"));
      }
      seconds = progress.seconds();
    } finally {
      session.sparkContext().removeSparkListener(board);
      ledger.writeUnits();
      LiveProgress.forget(task.job());
    }
    return conclude(reused, seconds);
  }

  /** The report is written whatever the outcome; missing rows are thrown after it. */
  private JobReport conclude(Map<Integer, UnitFacts> reused, double seconds) {
    if (tooManyFailed()) {
      return written(report(JobReport.Outcome.TOO_MANY_FAILED_ROWS, reused, seconds));
    }
    try {
      ledger.succeed(plan, task.identity());
    } catch (BulkgenException e) {
      if (e.code() == ErrorCode.ROWS_MISSING) {
        written(report(JobReport.Outcome.ROWS_MISSING, reused, seconds));
      }
      throw e;
    }
    return written(report(JobReport.Outcome.DONE, reused, seconds));
  }

  private JobReport written(JobReport report) {
    ledger.writeReport(report.toJson());
    return report;
  }

  private void warn(List<String> damaged) {
    if (damaged.isEmpty()) {
      return;
    }
    int named = Math.min(damaged.size(), MOST_NAMED);
    String others =
        damaged.size() > named
            ? String.format(Locale.ROOT, " and %,d more", damaged.size() - named)
            : "";
    console
        .err()
        .printf(
            "bulkgen: damaged since they were written, and made again: %s%s%n",
            String.join(", ", damaged.subList(0, named)), others);
  }

  private void announce(int reusedUnits) {
    String reused =
        reusedUnits == 0 ? "" : String.format(Locale.ROOT, ", %,d units done before", reusedUnits);
    console
        .out()
        .printf(
            Locale.ROOT,
            "%,d rows in %,d units, about %,d tokens%s%n",
            plan.rows(),
            plan.units().size(),
            plan.cost(),
            reused);
  }

  private ProgressReporter.State state(long reusedRows) {
    List<UnitFacts> committed = ledger.committed();
    long rows = committed.stream().mapToLong(UnitFacts::rows).sum();
    long live = LiveProgress.rows(task.job());
    ExecutorNews.reports().forEach(board::refresh);
    // An engine of this process tells more than its units that have ended.
    EngineHolder.report().ifPresent(board::refresh);
    return new ProgressReporter.State(
        Math.min(plan.rows(), rows + Math.max(0, live)),
        reusedRows,
        plan.rows(),
        committed.size(),
        plan.units().size(),
        EngineFigures.total(board.devices().stream().map(DeviceUse::figures).toList())
            .map(figures -> figures.tokens(settings.task())));
  }

  private void run(List<UnitSpec> open, ProgressReporter progress) {
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
    JavaRDD<UnitSpec> units = resources.apply(spark.parallelize(open, open.size()));
    UnitTask function =
        new UnitTask(
            task,
            ParquetRowReader.create(session, PlanSchema.of(plan.inputSchema())),
            new SerializableConfiguration(session.sparkContext().hadoopConfiguration()),
            UnitCounters.register(session.sparkContext(), settings.task()));
    String description =
        String.format(
            Locale.ROOT,
            "bulkgen %s: units %s of %,d",
            settings.task().spelling(),
            UnitList.show(open),
            plan.units().size());
    TaskJob job = new TaskJob(spark, "bulkgen-" + task.identity().planDigest().substring(0, 12));
    job.run(
        description,
        units,
        function,
        result -> {
          commit(result, progress);
          if (tooManyFailed()) {
            job.stop();
          }
        });
  }

  private void commit(UnitResult result, ProgressReporter progress) {
    ledger.commit(result.facts());
    times.note(result);
    board.note(result.engine(), progress::tell);
    ExecutorNews.note(result.engine());
    ExecutorNews.takeLosses().forEach(loss -> progress.tell(loss + "\n"));
  }

  /** Measured against all rows of the plan: once true, no later row can make it false. */
  private boolean tooManyFailed() {
    long failed = ledger.committed().stream().mapToLong(UnitFacts::failedRows).sum();
    return failed > settings.run().maxErrorRate() * plan.rows();
  }

  private JobReport report(
      JobReport.Outcome outcome, Map<Integer, UnitFacts> reused, double seconds) {
    List<UnitFacts> units = ledger.committed();
    List<UnitFacts> fresh =
        units.stream().filter(unit -> !reused.containsKey(unit.unit())).toList();
    return new JobReport(
        settings.task(),
        outcome,
        plan.rows(),
        plan.units().size(),
        reused.size(),
        units,
        fresh.stream().mapToLong(UnitFacts::promptTokens).sum(),
        fresh.stream().mapToLong(UnitFacts::completionTokens).sum(),
        seconds,
        board.devices(),
        times.slowest(SLOWEST),
        settings.run().pricePerHour());
  }
}
