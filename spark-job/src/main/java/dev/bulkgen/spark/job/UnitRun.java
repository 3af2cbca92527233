package dev.bulkgen.spark.job;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.error.ErrorKind;
import dev.bulkgen.spark.plan.PlanSchema;
import dev.bulkgen.spark.plugin.EngineGateway;
import dev.bulkgen.spark.plugin.LiveProgress;
import dev.bulkgen.spark.sink.RowOutcome;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskKilledException;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.expressions.UnsafeRow;

/**
 * Runs the rows of a unit: a window of them is in flight at a time, and a row that is done, in
 * whatever order, makes room for the next. All waiting is in the task's own thread.
 */
final class UnitRun<A> implements AutoCloseable {
  private static final long KILL_CHECK_MILLIS = 200;

  private record Finished<A>(
      CompletableFuture<A> future, long ordinal, String key, InternalRow input) {}

  private final EngineGateway engine;
  private final RowWork<A> work;
  private final int inputColumns;
  private final int window;
  private final TaskContext context;
  private final TaskSettings task;
  private final LinkedBlockingQueue<Finished<A>> finished = new LinkedBlockingQueue<>();
  private final Set<CompletableFuture<A>> inFlight = new HashSet<>();
  private final TreeMap<Long, RowOutcome> outcomes = new TreeMap<>();

  UnitRun(
      EngineGateway engine,
      RowWork<A> work,
      int inputColumns,
      int window,
      TaskContext context,
      TaskSettings task) {
    this.engine = engine;
    this.work = work;
    this.inputColumns = inputColumns;
    this.window = window;
    this.context = context;
    this.task = task;
  }

  /**
   * @param rows of the plan file
   * @return how each row ended, in the order of the input
   * @throws BulkgenException for what concerns more than a row
   * @throws TaskKilledException if Spark no longer wants the task
   */
  SortedMap<Long, RowOutcome> run(Iterator<UnsafeRow> rows) throws InterruptedException {
    while (rows.hasNext() || !inFlight.isEmpty()) {
      throwIfKilled();
      if (rows.hasNext() && inFlight.size() < window) {
        begin(rows.next());
        drain();
      } else {
        take(finished.poll(KILL_CHECK_MILLIS, TimeUnit.MILLISECONDS));
        drain();
      }
    }
    return outcomes;
  }

  private void throwIfKilled() {
    if (context.isInterrupted()) {
      throw new TaskKilledException("the task was killed; its sequences are cancelled");
    }
  }

  private void begin(UnsafeRow row) {
    long ordinal = row.getLong(PlanSchema.ORDINAL);
    String key = row.getUTF8String(PlanSchema.KEY).toString();
    if (!row.isNullAt(PlanSchema.ERROR)) {
      String message = row.getUTF8String(PlanSchema.ERROR).toString();
      end(ordinal, new RowOutcome.Failed(key, null, ErrorCode.ROW_MALFORMED.name(), message));
      return;
    }
    InternalRow input = row.getStruct(PlanSchema.ROW, inputColumns).copy();
    CompletableFuture<A> future;
    try {
      future = work.submit(engine, key, input);
    } catch (BulkgenException e) {
      throwIfKilled();
      end(ordinal, failed(key, input, e));
      return;
    }
    inFlight.add(future);
    future.whenComplete((done, error) -> finished.add(new Finished<>(future, ordinal, key, input)));
  }

  private void drain() {
    Finished<A> next = finished.poll();
    while (next != null) {
      take(next);
      next = finished.poll();
    }
  }

  private void take(Finished<A> done) {
    if (done == null) {
      return;
    }
    inFlight.remove(done.future());
    try {
      end(done.ordinal(), work.outcome(done.key(), done.input(), done.future().join()));
    } catch (CompletionException e) {
      if (!(e.getCause() instanceof BulkgenException known)) {
        throw new BulkgenException(
            ErrorCode.INTERNAL, "the engine failed: " + e.getCause(), e.getCause());
      }
      end(done.ordinal(), failed(done.key(), done.input(), known));
    }
  }

  /** Errors of a row end in the row; all others end the task. */
  private static RowOutcome failed(String key, InternalRow input, BulkgenException e) {
    if (e.kind() != ErrorKind.DATA) {
      throw e;
    }
    return new RowOutcome.Failed(key, input, e.code().name(), e.getMessage());
  }

  private void end(long ordinal, RowOutcome outcome) {
    outcomes.put(ordinal, outcome);
    LiveProgress.add(task.job(), 1);
  }

  /** Cancels what is still in flight, so that a killed task gives its places back. */
  @Override
  public void close() {
    LiveProgress.add(task.job(), -outcomes.size());
    for (CompletableFuture<A> future : List.copyOf(inFlight)) {
      future.cancel(false);
    }
  }
}
