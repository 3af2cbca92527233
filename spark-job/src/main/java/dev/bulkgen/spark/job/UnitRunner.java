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
import dev.bulkgen.spark.plugin.EngineReport;
import dev.bulkgen.spark.plugin.LiveProgress;
import dev.bulkgen.spark.sink.UnitFacts;
import dev.bulkgen.spark.storage.ParquetRowReader;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.SerializableConfiguration;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction2;
import scala.runtime.BoxedUnit;

/** Runs the units of a plan that are not committed, and commits each as it finishes. */
final class UnitRunner {
  private static final int MOST_NAMED = 10;

  private final SparkSession session;
  private final JobSettings settings;
  private final JobConsole console;
  private final Ledger ledger;
  private final UnitPlan plan;
  private final TaskSettings task;
  private final String group;
  private final EngineBoard board = new EngineBoard();
  private volatile boolean stopped;

  UnitRunner(
      SparkSession session,
      JobSettings settings,
      JobConsole console,
      Ledger ledger,
      UnitPlan plan,
      TaskSettings task) {
    this.session = session;
    this.settings = settings;
    this.console = console;
    this.ledger = ledger;
    this.plan = plan;
    this.task = task;
    this.group = "bulkgen-" + task.identity().planDigest().substring(0, 12);
  }

  /**
   * Opens an engine on each executor there is, and tells their memory plans; executors that come
   * later tell theirs with their first unit.
   *
   * @throws BulkgenException what loading threw
   */
  void openEngines() {
    // The driver's process is in the list too, and runs tasks only where it is alone.
    int executors =
        Math.max(1, session.sparkContext().statusTracker().getExecutorInfos().length - 1);
    List<Integer> tasks = IntStream.range(0, executors).boxed().toList();
    try {
      EngineReport[] reports =
          (EngineReport[])
              session
                  .sparkContext()
                  .runJob(
                      JavaSparkContext.fromSparkContext(session.sparkContext())
                          .parallelize(tasks, executors)
                          .rdd(),
                      new EngineTask(task),
                      ClassTag$.MODULE$.<EngineReport>apply(EngineReport.class));
      for (EngineReport report : reports) {
        board.note(report, console.out()::print);
      }
    } catch (Exception e) {
      // Scala code throws checked exceptions unannounced, so javac lets no narrower type stand.
      throw cause(e);
    }
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
    try (ProgressReporter progress = new ProgressReporter(console, () -> state(reusedRows))) {
      if (!open.isEmpty() && !tooManyFailed()) {
        generate(open, progress);
      }
      seconds = progress.seconds();
    } finally {
      ledger.writeUnits();
      LiveProgress.forget(task.engineKey());
    }
    JobReport report = report(reused, seconds);
    ledger.writeReport(report.toJson());
    if (report.outcome() == JobReport.Outcome.DONE) {
      ledger.succeed(plan, task.identity());
    }
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
    long live = LiveProgress.rows(task.engineKey());
    return new ProgressReporter.State(
        Math.min(plan.rows(), rows + Math.max(0, live)),
        reusedRows,
        plan.rows(),
        committed.size(),
        plan.units().size(),
        // An engine of this process tells more than its units that have ended.
        EngineHolder.figures(task.engineKey())
            .or(() -> EngineFigures.total(board.figures()))
            .map(EngineFigures::generatedTokens));
  }

  private void generate(List<UnitSpec> open, ProgressReporter progress) {
    JavaSparkContext spark = JavaSparkContext.fromSparkContext(session.sparkContext());
    JavaRDD<UnitSpec> units = spark.parallelize(open, open.size());
    GenerateTask function =
        new GenerateTask(
            task,
            ParquetRowReader.create(session, PlanSchema.of(plan.inputSchema())),
            new SerializableConfiguration(session.sparkContext().hadoopConfiguration()));
    List<Object> partitions = IntStream.range(0, open.size()).<Object>mapToObj(i -> i).toList();
    spark.setJobGroup(group, "bulkgen generate", true);
    try {
      session
          .sparkContext()
          .runJob(
              units.rdd(),
              function,
              CollectionConverters.asScala(partitions).toSeq(),
              new Committer(progress),
              ClassTag$.MODULE$.<UnitResult>apply(UnitResult.class));
    } catch (Exception e) {
      // Scala code throws checked exceptions unannounced, so javac lets no narrower type stand.
      if (!stopped) {
        throw cause(e);
      }
    } finally {
      spark.clearJobGroup();
    }
  }

  private static BulkgenException cause(Exception e) {
    for (Throwable cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof BulkgenException known) {
        return known;
      }
    }
    return new BulkgenException(ErrorCode.INTERNAL, "the Spark job failed: " + e.getMessage(), e);
  }

  /** Called by Spark's scheduler on the driver, once a unit. */
  private final class Committer extends AbstractFunction2<Object, UnitResult, BoxedUnit> {
    private final ProgressReporter progress;

    Committer(ProgressReporter progress) {
      this.progress = progress;
    }

    @Override
    public BoxedUnit apply(Object partition, UnitResult result) {
      ledger.commit(result.facts());
      board.note(result.engine(), progress::tell);
      if (tooManyFailed() && !stopped) {
        stopped = true;
        session.sparkContext().cancelJobGroup(group);
      }
      return BoxedUnit.UNIT;
    }
  }

  /** Measured against all rows of the plan: once true, no later row can make it false. */
  private boolean tooManyFailed() {
    long failed = ledger.committed().stream().mapToLong(UnitFacts::failedRows).sum();
    return failed > settings.run().maxErrorRate() * plan.rows();
  }

  private JobReport report(Map<Integer, UnitFacts> reused, double seconds) {
    List<UnitFacts> units = ledger.committed();
    List<UnitFacts> fresh =
        units.stream().filter(unit -> !reused.containsKey(unit.unit())).toList();
    return new JobReport(
        tooManyFailed() ? JobReport.Outcome.TOO_MANY_FAILED_ROWS : JobReport.Outcome.DONE,
        plan.rows(),
        plan.units().size(),
        reused.size(),
        units,
        fresh.stream().mapToLong(UnitFacts::promptTokens).sum(),
        fresh.stream().mapToLong(UnitFacts::completionTokens).sum(),
        seconds,
        board.figures());
  }
}
