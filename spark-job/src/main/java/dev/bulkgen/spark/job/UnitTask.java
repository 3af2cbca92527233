package dev.bulkgen.spark.job;

import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.ledger.CommittedShard;
import dev.bulkgen.spark.plan.UnitSpec;
import dev.bulkgen.spark.plugin.EngineGateway;
import dev.bulkgen.spark.plugin.EngineReport;
import dev.bulkgen.spark.sink.RowOutcome;
import dev.bulkgen.spark.sink.ShardWriter;
import dev.bulkgen.spark.sink.UnitFacts;
import dev.bulkgen.spark.storage.ParquetRowReader;
import dev.bulkgen.spark.storage.Storage;
import java.io.Serializable;
import java.util.Optional;
import java.util.SortedMap;
import org.apache.hadoop.fs.Path;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskKilledException;
import org.apache.spark.util.SerializableConfiguration;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction2;

/**
 * One Spark task: the rows of one unit, from the plan file to the shard. Everything it writes
 * follows from the unit, so that a second attempt writes the same bytes.
 */
final class UnitTask
    extends AbstractFunction2<TaskContext, Iterator<UnitSpec>, TaskOutcome<UnitResult>>
    implements Serializable {
  private static final long serialVersionUID = 1L;
  private static final int LEAST_WINDOW = 8;

  private final TaskSettings task;
  private final ParquetRowReader reader;
  private final SerializableConfiguration configuration;
  private final UnitCounters counters;

  UnitTask(
      TaskSettings task,
      ParquetRowReader reader,
      SerializableConfiguration configuration,
      UnitCounters counters) {
    this.task = task;
    this.reader = reader;
    this.configuration = configuration;
    this.counters = counters;
  }

  @Override
  public TaskOutcome<UnitResult> apply(TaskContext context, Iterator<UnitSpec> units) {
    UnitSpec unit = units.next();
    return TaskOutcome.of(
        () -> EngineTask.use(task.engine(), engine -> run(context, unit, engine)));
  }

  private UnitResult run(TaskContext context, UnitSpec unit, EngineGateway engine) {
    long start = System.nanoTime();
    try {
      UnitFacts facts = run(context, unit, task.settings(), engine);
      counters.add(facts);
      double seconds = (System.nanoTime() - start) / 1e9;
      return new UnitResult(facts, EngineReport.of(engine), seconds);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new TaskKilledException("the task was interrupted");
    }
  }

  private UnitFacts run(
      TaskContext context, UnitSpec unit, JobSettings settings, EngineGateway engine)
      throws InterruptedException {
    Path output = new Path(settings.output().path());
    Optional<UnitFacts> before =
        CommittedShard.find(
            Storage.of(output, configuration.value()), output, task.identity(), unit);
    if (before.isPresent()) {
      // An attempt before this one was lost after it had committed.
      return before.get();
    }
    Path plan = new Path(task.planFolder());
    Storage storage = Storage.of(plan, configuration.value());
    Path file = unit.verified(storage, plan);
    RowWork<?> work = RowWork.of(task, settings, engine);
    // As many rows as the batch has places: another slot's rows then fill what this one leaves.
    int window = Math.max(LEAST_WINDOW, settings.engine().maxBatch() / work.placesPerRow());
    try (UnitRun<?> run =
        new UnitRun<>(engine, work, task.inputSchema().size(), window, context, task)) {
      SortedMap<Long, RowOutcome> outcomes = run.run(reader.open(storage, file));
      return write(context, unit, settings, outcomes);
    }
  }

  private UnitFacts write(
      TaskContext context,
      UnitSpec unit,
      JobSettings settings,
      SortedMap<Long, RowOutcome> outcomes) {
    Path output = new Path(settings.output().path());
    try (ShardWriter writer =
        new ShardWriter(
            output,
            Storage.of(output, configuration.value()),
            task.resultSchema(),
            task.identity(),
            task.answer(),
            unit.unit(),
            String.valueOf(context.taskAttemptId()))) {
      outcomes.values().forEach(writer::write);
      return writer.commit();
    }
  }
}
