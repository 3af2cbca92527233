package dev.bulkgen.spark.job;

import dev.bulkgen.error.BulkgenException;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.apache.spark.TaskContext;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import scala.collection.Iterator;
import scala.jdk.javaapi.CollectionConverters;
import scala.reflect.ClassTag$;
import scala.runtime.AbstractFunction2;
import scala.runtime.BoxedUnit;

/** One of Spark's jobs, a task a partition, that can be ended before all of them are done. */
final class TaskJob {
  private static final String DESCRIPTION = "spark.job.description";
  private static final String INTERRUPTS_TASKS = "spark.job.interruptOnCancel";

  private final JavaSparkContext spark;
  private final OwnJobs jobs;
  private volatile BulkgenException error;
  private volatile boolean stopped;

  /**
   * @param name for Spark's UI
   */
  TaskJob(JavaSparkContext spark, String name) {
    this.spark = spark;
    this.jobs = OwnJobs.named(spark.sc(), name);
  }

  /**
   * Returns when all tasks are done, or have ended because the job was stopped. The first error
   * that is a result, or that {@code done} throws, stops it.
   *
   * @param done called by Spark's scheduler on the driver, once a task that ended well
   * @throws BulkgenException that error, or what a task threw in all its attempts; caused by an
   *     InterruptedException, with the thread's flag clear, if the thread was interrupted
   */
  <T, R> void run(
      String description,
      JavaRDD<T> tasks,
      AbstractFunction2<TaskContext, Iterator<T>, TaskOutcome<R>> work,
      Consumer<R> done) {
    List<Object> partitions =
        IntStream.range(0, tasks.getNumPartitions()).<Object>mapToObj(i -> i).toList();
    String describedBefore = spark.getLocalProperty(DESCRIPTION);
    String interruptsBefore = spark.getLocalProperty(INTERRUPTS_TASKS);
    spark.setLocalProperty(DESCRIPTION, description);
    spark.setLocalProperty(INTERRUPTS_TASKS, "true");
    jobs.begin();
    try {
      spark
          .sc()
          .runJob(
              tasks.rdd(),
              work,
              CollectionConverters.asScala(partitions).toSeq(),
              new Handler<>(done),
              ClassTag$.MODULE$.<TaskOutcome<R>>apply(TaskOutcome.class));
    } catch (Exception e) {
      // Scala code throws checked exceptions unannounced, so javac lets no narrower type stand.
      boolean interrupted = SparkFailure.isInterrupt(e);
      if (interrupted) {
        jobs.cancel();
      }
      // Whoever holds the output's lock gives it back after this.
      if (jobs.awaitEnd(interrupted) && !interrupted) {
        throw SparkFailure.interrupt(e);
      }
      if (interrupted || !stopped) {
        throw SparkFailure.cause(e);
      }
    } finally {
      jobs.end();
      spark.setLocalProperty(INTERRUPTS_TASKS, interruptsBefore);
      spark.setLocalProperty(DESCRIPTION, describedBefore);
    }
    if (error != null) {
      throw error;
    }
  }

  /** What runs is killed, and nothing else begins. */
  void stop() {
    if (!stopped) {
      stopped = true;
      jobs.cancel();
    }
  }

  private final class Handler<R> extends AbstractFunction2<Object, TaskOutcome<R>, BoxedUnit> {
    private final Consumer<R> done;

    Handler(Consumer<R> done) {
      this.done = done;
    }

    @Override
    public BoxedUnit apply(Object partition, TaskOutcome<R> outcome) {
      try {
        done.accept(outcome.get());
      } catch (BulkgenException e) {
        if (error == null) {
          error = e;
        }
        stop();
      }
      return BoxedUnit.UNIT;
    }
  }
}
