package dev.bulkgen.spark.job;

import dev.bulkgen.spark.plugin.EngineGateway;
import dev.bulkgen.spark.plugin.EngineHolder;
import dev.bulkgen.spark.plugin.EngineLoader;
import dev.bulkgen.spark.plugin.EngineReport;
import java.io.Serializable;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskKilledException;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction2;

/**
 * One Spark task: opens the engine of its executor and tells of it. Run before the units, so that a
 * memory plan is there before the first token, and a model that does not load stops the job before
 * anything is written.
 */
final class EngineTask extends AbstractFunction2<TaskContext, Iterator<Integer>, EngineReport>
    implements Serializable {
  private static final long serialVersionUID = 1L;

  private final TaskSettings task;

  EngineTask(TaskSettings task) {
    this.task = task;
  }

  @Override
  public EngineReport apply(TaskContext context, Iterator<Integer> nothing) {
    return EngineReport.of(engine(task));
  }

  /** The engine of this process, which its task slots share; waits while it loads. */
  static EngineGateway engine(TaskSettings task) {
    try {
      return EngineHolder.await(
          task.engineKey(), () -> EngineLoader.open(task.settings().engine(), task.begun()));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new TaskKilledException("the task was interrupted");
    }
  }
}
