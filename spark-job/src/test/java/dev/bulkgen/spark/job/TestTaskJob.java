package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.Sessions;
import java.io.Serializable;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.apache.spark.TaskContext;
import org.apache.spark.TaskKilledException;
import org.apache.spark.api.java.JavaSparkContext;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction2;

class TestTaskJob {
  private static final JavaSparkContext SPARK =
      JavaSparkContext.fromSparkContext(Sessions.shared().sparkContext());
  private static final int TASKS = 6;
  private static final Semaphore HANGING = new Semaphore(0);

  /** The first task ends as it is told to; the others only when they are killed. */
  private static final class Task
      extends AbstractFunction2<TaskContext, Iterator<Integer>, TaskOutcome<Integer>>
      implements Serializable {
    private static final long serialVersionUID = 1L;

    private final ErrorCode error;

    Task(ErrorCode error) {
      this.error = error;
    }

    @Override
    public TaskOutcome<Integer> apply(TaskContext context, Iterator<Integer> numbers) {
      int number = numbers.next();
      return TaskOutcome.of(() -> number == 0 ? first() : hang());
    }

    private int first() {
      if (error != null) {
        throw new BulkgenException(error, "of the task");
      }
      return 0;
    }

    private static int hang() {
      HANGING.release();
      try {
        new CountDownLatch(1).await();
        return 1;
      } catch (InterruptedException e) {
        throw new TaskKilledException("as it should be");
      }
    }
  }

  private static BulkgenException failure(ErrorCode error, Consumer<Integer> done) {
    return assertThrows(
        BulkgenException.class,
        () ->
            new TaskJob(SPARK, "test")
                .run(
                    "test",
                    SPARK.parallelize(IntStream.range(0, TASKS).boxed().toList(), TASKS),
                    new Task(error),
                    done));
  }

  @Test
  void testAnErrorOfTheUsersEndsTheJob() {
    Set<Integer> done = new ConcurrentSkipListSet<>();
    BulkgenException e = failure(ErrorCode.MODEL_CORRUPT, done::add);
    assertEquals(ErrorCode.MODEL_CORRUPT, e.code());
    assertEquals("of the task", e.getMessage());
    assertEquals(Set.of(), done);
  }

  @ParameterizedTest
  @EnumSource(names = {"STORAGE_FAILED", "NODE_DIFFERS"})
  void testWhatARetryMayHelpIsThrown(ErrorCode code) {
    BulkgenException e =
        assertThrows(
            BulkgenException.class,
            () ->
                TaskOutcome.of(
                    () -> {
                      throw new BulkgenException(code, "of the task");
                    }));
    assertEquals(code, e.code());
    assertEquals(code, failure(code, number -> {}).code());
  }

  @Test
  void testAnErrorOnTheDriverEndsTheJob() {
    BulkgenException e =
        failure(
            null,
            number -> {
              throw new BulkgenException(ErrorCode.OUTPUT_LOCKED, "of the driver");
            });
    assertEquals(ErrorCode.OUTPUT_LOCKED, e.code());
  }

  @Test
  void testAStoppedJobReturnsAndLeavesOthersAlone() throws Exception {
    TaskJob hanging = new TaskJob(SPARK, "test");
    CountDownLatch ended = new CountDownLatch(1);
    Thread other =
        new Thread(
            () -> {
              hanging.run("hangs", SPARK.parallelize(List.of(1), 1), new Task(null), n -> {});
              ended.countDown();
            });
    HANGING.drainPermits();
    other.start();
    HANGING.acquire();
    TaskJob job = new TaskJob(SPARK, "test");
    Set<Integer> done = new ConcurrentSkipListSet<>();
    job.run(
        "test",
        SPARK.parallelize(List.of(0, 1), 2),
        new Task(null),
        number -> {
          done.add(number);
          job.stop();
        });
    assertEquals(Set.of(0), done);
    assertEquals(1, ended.getCount());
    hanging.stop();
    assertTrue(ended.await(1, TimeUnit.MINUTES));
  }

  @Test
  void testTheCallersGroupCancelsTheJobAndStaysTheCallers() throws Exception {
    CompletableFuture<BulkgenException> failure = new CompletableFuture<>();
    CompletableFuture<List<String>> after = new CompletableFuture<>();
    HANGING.drainPermits();
    Thread caller =
        new Thread(
            () -> {
              SPARK.setJobGroup("mine", "my description", false);
              SPARK.addJobTag("my-tag");
              failure.complete(failure(null, number -> {}));
              after.complete(properties());
            });
    caller.start();
    assertTrue(HANGING.tryAcquire(1, TimeUnit.MINUTES));
    SPARK.cancelJobGroup("mine");
    String message = failure.get(1, TimeUnit.MINUTES).getMessage();
    assertTrue(message.contains("cancelled"), message);
    assertEquals(
        List.of("mine", "my description", "false", "my-tag"), after.get(1, TimeUnit.MINUTES));
  }

  /** It goes on for a while after it was killed, and ends the wait that is its last act. */
  private static final class SlowToEnd
      extends AbstractFunction2<TaskContext, Iterator<Integer>, TaskOutcome<Integer>>
      implements Serializable {
    private static final long serialVersionUID = 1L;
    private static final AtomicBoolean ENDED = new AtomicBoolean();

    @Override
    public TaskOutcome<Integer> apply(TaskContext context, Iterator<Integer> numbers) {
      HANGING.release();
      try {
        new CountDownLatch(1).await();
      } catch (InterruptedException e) {
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(500));
      }
      ENDED.set(true);
      throw new TaskKilledException("as it should be");
    }
  }

  @Test
  void testAnInterruptedJobReturnsWhenItsTasksHaveEnded() throws Exception {
    CompletableFuture<Boolean> ended = new CompletableFuture<>();
    CompletableFuture<BulkgenException> failure = new CompletableFuture<>();
    HANGING.drainPermits();
    Thread caller =
        new Thread(
            () -> {
              failure.complete(
                  assertThrows(
                      BulkgenException.class,
                      () ->
                          new TaskJob(SPARK, "test")
                              .run(
                                  "test",
                                  SPARK.parallelize(List.of(0), 1),
                                  new SlowToEnd(),
                                  number -> {})));
              ended.complete(SlowToEnd.ENDED.get());
            });
    caller.start();
    assertTrue(HANGING.tryAcquire(1, TimeUnit.MINUTES));
    caller.interrupt();
    assertTrue(ended.get(1, TimeUnit.MINUTES), "a task goes on");
    assertTrue(failure.get().getMessage().startsWith("interrupted"), failure.get().getMessage());
    assertInstanceOf(InterruptedException.class, failure.get().getCause());
  }

  private static List<String> properties() {
    return Stream.of(
            "spark.jobGroup.id",
            "spark.job.description",
            "spark.job.interruptOnCancel",
            "spark.job.tags")
        .map(SPARK::getLocalProperty)
        .toList();
  }
}
