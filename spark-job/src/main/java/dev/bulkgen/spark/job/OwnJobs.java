package dev.bulkgen.spark.job;

import java.util.Arrays;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;
import org.apache.spark.JobExecutionStatus;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkJobInfo;
import org.apache.spark.SparkStatusTracker;
import scala.Option;

/**
 * Spark's jobs that this thread starts between begin and end. They carry a tag of ours: the group
 * is the caller's, who cancels by it, as a stream does.
 */
final class OwnJobs {
  private static final Logger LOG = LogManager.getLogger(OwnJobs.class);
  private static final AtomicLong COUNT = new AtomicLong();
  private static final long MOST_WAIT_NANOS = TimeUnit.MINUTES.toNanos(1);
  private static final long LOOK_MILLIS = 20;

  private final SparkContext spark;
  private final String tag;

  private OwnJobs(SparkContext spark, String tag) {
    this.spark = spark;
    this.tag = tag;
  }

  static OwnJobs named(SparkContext spark, String name) {
    return new OwnJobs(spark, name + "-" + COUNT.incrementAndGet());
  }

  void begin() {
    spark.addJobTag(tag);
  }

  void end() {
    spark.removeJobTag(tag);
  }

  void cancel() {
    spark.cancelJobsWithTag(tag);
  }

  /**
   * Returns when no task runs any more, or after a minute. Spark gives up a job at once, and its
   * tasks go on until they notice.
   *
   * @param submitted whether there is a job, which Spark may not list yet
   * @return whether the thread was interrupted meanwhile; the flag is clear
   */
  boolean awaitEnd(boolean submitted) {
    boolean interrupted = false;
    long start = System.nanoTime();
    while (!hasEnded(submitted)) {
      if (System.nanoTime() - start > MOST_WAIT_NANOS) {
        LOG.warn("tasks of {} still run a minute after their job ended", tag);
        return interrupted;
      }
      try {
        Thread.sleep(LOOK_MILLIS);
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    return interrupted;
  }

  private boolean hasEnded(boolean submitted) {
    if (spark.isStopped()) {
      return true;
    }
    SparkStatusTracker tracker = spark.statusTracker();
    int[] jobs = tracker.getJobIdsForTag(tag);
    return (jobs.length > 0 || !submitted)
        && Arrays.stream(jobs).allMatch(job -> hasEnded(tracker, job));
  }

  private static boolean hasEnded(SparkStatusTracker tracker, int id) {
    Option<SparkJobInfo> job = tracker.getJobInfo(id);
    // What Spark lists no more has long ended.
    return job.isEmpty()
        || job.get().status() != JobExecutionStatus.RUNNING
            && Arrays.stream(job.get().stageIds())
                .mapToObj(tracker::getStageInfo)
                .allMatch(stage -> stage.isEmpty() || stage.get().numActiveTasks() == 0);
  }
}
