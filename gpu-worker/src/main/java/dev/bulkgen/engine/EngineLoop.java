package dev.bulkgen.engine;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.backend.StepOutput.SequenceOutput;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.schedule.Scheduler;
import dev.bulkgen.schedule.SchedulerLimits;
import dev.bulkgen.schedule.SchedulerPools;
import dev.bulkgen.schedule.SequenceState;
import dev.bulkgen.schedule.SequenceState.Phase;
import dev.bulkgen.schedule.StepPlan;
import dev.bulkgen.schedule.StepPlan.Part;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;

/**
 * What the engine's one thread does: it plans, submits and collects, and it alone touches
 * scheduler, page pools and backend. Where the backend works by itself, the next step is planned
 * and submitted before this one's tokens are known; a sequence that turns out to have ended is then
 * one row too many, whose token nobody takes.
 */
final class EngineLoop implements Runnable {
  private static final Logger LOG = LogManager.getLogger(EngineLoop.class);

  private final RequestQueue queue;
  private final Backend backend;
  private final SchedulerPools pools;
  private final Scheduler scheduler;
  private final int slots;
  private final TextThread text;
  private final Map<SequenceState, JobSequence> sequences = new LinkedHashMap<>();
  private final Queue<JobSequence> ended = new ConcurrentLinkedQueue<>();
  private final MetricsCounter counter;

  /** A step on its way, with what each of its sequences does. */
  private record Submitted(StepPlan plan, List<JobSequence> sequences, Backend.PendingStep step) {}

  EngineLoop(RequestQueue queue, Backend backend, MemoryPlan plan, SchedulerLimits limits) {
    this.queue = queue;
    this.backend = backend;
    this.slots = plan.slots();
    this.pools = SchedulerPools.of(plan);
    this.scheduler = new Scheduler(plan.layout(), pools, limits);
    this.counter = new MetricsCounter(plan.layout(), slots, backend.cacheBytes());
    this.text = new TextThread(this::fail);
  }

  EngineMetrics metrics() {
    return counter.metrics(queue.size());
  }

  /** Whether the caller is called by what an engine's future runs. */
  boolean isTextThread() {
    return text.isCurrent();
  }

  @Override
  public void run() {
    Optional<Submitted> before = Optional.empty();
    try {
      while (!queue.isClosed()) {
        takeJobs();
        dropEnded();
        StepPlan plan = scheduler.plan();
        plan.swapOuts().forEach(swap -> backend.swapOut(swap.from(), swap.to()));
        plan.swapIns().forEach(swap -> backend.swapIn(swap.from(), swap.to()));
        Optional<Submitted> next = plan.isEmpty() ? Optional.empty() : Optional.of(submit(plan));
        before.ifPresent(this::collect);
        before = next;
        if (next.isPresent() && !runsAhead(next.get())) {
          collect(next.get());
          before = Optional.empty();
        }
        if (next.isEmpty() && scheduler.isIdle()) {
          queue.awaitJob();
        }
      }
    } catch (Throwable e) {
      fail(e);
    } finally {
      end();
    }
  }

  private void fail(Throwable error) {
    LOG.error("the engine stops: {}", error.toString(), error);
    queue.close(
        error instanceof BulkgenException known
            ? known
            : new BulkgenException(
                ErrorCode.INTERNAL, "the engine failed and stays closed: " + error, error));
  }

  /** Keeps as many waiting as can run at once; the rest stays in the bounded queue. */
  private void takeJobs() {
    while (scheduler.waitingCount() < slots) {
      Job<?> job = queue.poll();
      if (job == null) {
        return;
      }
      if (!job.isDone()) {
        for (JobSequence sequence : job.sequences()) {
          sequences.put(sequence.sequence(), sequence);
          scheduler.add(sequence.sequence());
        }
        // Whatever completes a job, somebody who cancels it too, its sequences are free then.
        job.future().whenComplete((done, error) -> ended.addAll(job.sequences()));
      }
    }
  }

  /** Frees what belongs to samples that are complete, and to jobs nobody waits for any more. */
  private void dropEnded() {
    for (JobSequence next = ended.poll(); next != null; next = ended.poll()) {
      if (next instanceof Sample sample && sample.isComplete()) {
        scheduler.finish(next.sequence()); // a stop string tells of lengths as well
      } else {
        scheduler.end(next.sequence());
      }
      sequences.remove(next.sequence());
    }
  }

  private Submitted submit(StepPlan plan) {
    List<SequenceStep> steps = new ArrayList<>(plan.sequences());
    List<JobSequence> own = new ArrayList<>(plan.sequences());
    for (SequenceState sequence : plan.decodes()) {
      own.add(sequences.get(sequence));
      steps.add(sequences.get(sequence).step(sequence.nextToken(), SequenceStep.Kind.DECODE));
    }
    for (Part part : plan.prefills()) {
      SequenceState sequence = part.sequence();
      own.add(sequences.get(sequence));
      int[] tokens = sequence.promptTokens(part.from(), part.to());
      SequenceStep.Kind kind =
          part.endsPrompt() ? SequenceStep.Kind.PROMPT_END : SequenceStep.Kind.PROMPT_PART;
      steps.add(sequences.get(sequence).step(tokens, kind));
    }
    counter.begins(plan, scheduler, pools);
    Backend.PendingStep step = backend.submit(new StepBatch(steps));
    scheduler.submitted(plan);
    return new Submitted(plan, own, step);
  }

  private boolean runsAhead(Submitted submitted) {
    return backend.isAsynchronous()
        && submitted.sequences().stream().allMatch(JobSequence::runsAhead);
  }

  private void collect(Submitted submitted) {
    List<SequenceOutput> outputs = submitted.step().await().sequences();
    StepPlan plan = submitted.plan();
    List<Runnable> news = new ArrayList<>(outputs.size());
    int drawn = 0;
    for (int i = 0; i < outputs.size(); i++) {
      int prefill = i - plan.decodes().size();
      JobSequence own = submitted.sequences().get(i);
      if (own.sequence().phase() == Phase.ENDED) {
        continue;
      }
      if (outputs.get(i) instanceof StepOutput.Failure failure) {
        fail(own.job(), failure.error(), news);
        continue;
      }
      if (prefill >= 0) {
        scheduler.fed(plan.prefills().get(prefill));
      }
      if (outputs.get(i) instanceof StepOutput.Token token) {
        drawn++;
        take((Sample) own, token, news);
      } else if (outputs.get(i) instanceof StepOutput.Scored scored) {
        take((ScoreWindow) own, plan.prefills().get(prefill), scored, news);
      }
    }
    counter.ended(plan, drawn);
    // Who hears of a completion finds it counted.
    text.run(() -> news.forEach(Runnable::run));
  }

  private void fail(Job<?> job, BulkgenException error, List<Runnable> news) {
    for (JobSequence each : job.sequences()) {
      scheduler.end(each.sequence());
      sequences.remove(each.sequence());
    }
    news.add(() -> job.fail(error));
  }

  private void take(ScoreWindow window, Part part, StepOutput.Scored scored, List<Runnable> news) {
    if (part.endsPrompt()) {
      sequences.remove(window.sequence());
    }
    int cachedTokens = window.sequence().cachedTokens();
    news.add(() -> window.take(part.from(), scored, cachedTokens));
  }

  private void take(Sample sample, StepOutput.Token drawn, List<Runnable> news) {
    SequenceState sequence = sample.sequence();
    scheduler.drew(sequence, drawn.token());
    Optional<Sample.Ending> ending = sample.ending(drawn.token());
    int cachedTokens = sequence.cachedTokens();
    if (ending.isPresent()) {
      scheduler.finish(sequence);
      sequences.remove(sequence);
    }
    news.add(
        () -> {
          if (sample.take(drawn, ending, cachedTokens)) {
            ended.add(sample);
          }
        });
  }

  private void end() {
    text.close();
    List<Job<?>> pending = new ArrayList<>(queue.drain());
    sequences.values().forEach(sequence -> pending.add(sequence.job()));
    sequences.clear();
    try {
      queue.throwIfClosed();
    } catch (BulkgenException reason) {
      pending.forEach(job -> job.fail(reason));
    }
    try {
      backend.close();
    } catch (RuntimeException | Error e) {
      // Thrown on, it would end the process where one watches over threads, as Spark does.
      LOG.error("the backend did not close: {}", e.toString(), e);
    }
  }
}
