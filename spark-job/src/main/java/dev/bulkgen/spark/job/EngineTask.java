package dev.bulkgen.spark.job;

import dev.bulkgen.spark.plugin.EngineGateway;
import dev.bulkgen.spark.plugin.EngineHolder;
import dev.bulkgen.spark.plugin.EngineReport;
import dev.bulkgen.spark.plugin.EngineSpec;
import java.io.Serializable;
import java.util.function.Function;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskKilledException;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction2;

/**
 * One Spark task: opens the engine of its executor and tells of it. Run before the units, so that a
 * memory plan is there before the first token, and a model that does not load stops the job before
 * anything is written.
 */
final class EngineTask
    extends AbstractFunction2<TaskContext, Iterator<Integer>, TaskOutcome<EngineReport>>
    implements Serializable {
  private static final long serialVersionUID = 1L;

  private final EngineSpec engine;

  EngineTask(EngineSpec engine) {
    this.engine = engine;
  }

  @Override
  public TaskOutcome<EngineReport> apply(TaskContext context, Iterator<Integer> nothing) {
    return TaskOutcome.of(() -> use(engine, EngineReport::of));
  }

  /** Works with the engine of this process, which its task slots share; waits while it loads. */
  static <T> T use(EngineSpec engine, Function<EngineGateway, T> work) {
    try {
      return EngineHolder.use(engine, work);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new TaskKilledException("the task was interrupted");
    }
  }
}
