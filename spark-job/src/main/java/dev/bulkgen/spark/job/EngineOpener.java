package dev.bulkgen.spark.job;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.plugin.EngineSpec;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.SparkContext;
import org.apache.spark.api.java.JavaSparkContext;

/** Has an engine opened on each executor there is, before anything is planned or written. */
final class EngineOpener {
  private final SparkContext spark;
  private final StageResources resources;
  private final JobConsole console;

  EngineOpener(SparkContext spark, StageResources resources, JobConsole console) {
    this.spark = spark;
    this.resources = resources;
    this.console = console;
  }

  /**
   * Tells the memory plans; executors that come later tell theirs with their first unit.
   *
   * @throws BulkgenException what loading threw
   */
  EngineBoard open(EngineSpec engine) {
    EngineBoard board = new EngineBoard(System::nanoTime);
    // The driver's process is in the list too, and runs tasks only where it is alone.
    int executors = Math.max(1, spark.statusTracker().getExecutorInfos().length - 1);
    List<Integer> tasks = IntStream.range(0, executors).boxed().toList();
    JavaSparkContext context = JavaSparkContext.fromSparkContext(spark);
    new TaskJob(context, "bulkgen-engines")
        .run(
            "bulkgen: open the engines",
            resources.apply(context.parallelize(tasks, executors)),
            new EngineTask(engine),
            report -> board.note(report, console.out()::print));
    return board;
  }
}
