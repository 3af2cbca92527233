package dev.bulkgen.engine;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.backend.StepOutput.SequenceOutput;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.schedule.Scheduler;
import dev.bulkgen.schedule.SequenceState;
import dev.bulkgen.schedule.SequenceState.Phase;
import dev.bulkgen.schedule.StepPlan;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;

/** What the engine's one thread does: it alone touches scheduler, page pool and backend. */
final class EngineLoop implements Runnable {
  private static final Logger LOG = LogManager.getLogger(EngineLoop.class);

  private final RequestQueue queue;
  private final Backend backend;
  private final PagePool pool;
  private final Scheduler scheduler;
  private final CacheLayout layout;
  private final int slots;
  private final Map<SequenceState, Sample> samples = new LinkedHashMap<>();
  private volatile EngineMetrics metrics;

  EngineLoop(RequestQueue queue, Backend backend, MemoryPlan plan) {
    this.queue = queue;
    this.backend = backend;
    this.layout = plan.layout();
    this.slots = plan.slots();
    this.pool = new PagePool(plan.pages());
    this.scheduler = new Scheduler(plan.layout(), pool, slots, plan.demand().prefillTokens());
    this.metrics = new EngineMetrics(0, 0, 0, 0, 0, 0, 0, 0, backend.cacheBytes(), slots);
  }

  EngineMetrics metrics() {
    return metrics;
  }

  @Override
  public void run() {
    try {
      while (!queue.isClosed()) {
        takeJobs();
        dropAbandoned();
        StepPlan plan = scheduler.plan();
        if (plan.isEmpty()) {
          queue.awaitJob();
        } else {
          step(plan);
        }
      }
    } catch (Throwable e) {
      LOG.error("the engine stops: {}", e.toString(), e);
      queue.close(toFatal(e));
    } finally {
      end();
    }
  }

  private static BulkgenException toFatal(Throwable error) {
    return error instanceof BulkgenException known
        ? known
        : new BulkgenException(
            ErrorCode.INTERNAL, "the engine failed and stays closed: " + error, error);
  }

  /** Keeps as many waiting as can run at once; the rest stays in the bounded queue. */
  private void takeJobs() {
    while (scheduler.waitingCount() < slots) {
      Job job = queue.poll();
      if (job == null) {
        return;
      }
      if (!job.isDone()) {
        for (Sample sample : job.samples()) {
          samples.put(sample.sequence(), sample);
          scheduler.add(sample.sequence());
        }
      }
    }
  }

  /** Frees what belongs to jobs nobody waits for any more. */
  private void dropAbandoned() {
    List<SequenceState> abandoned = new ArrayList<>();
    samples.forEach(
        (sequence, sample) -> {
          if (sample.job().isDone()) {
            abandoned.add(sequence);
          }
        });
    abandoned.forEach(this::remove);
  }

  private void remove(SequenceState sequence) {
    scheduler.end(sequence);
    samples.remove(sequence);
  }

  private void step(StepPlan plan) {
    List<SequenceState> sequences = new ArrayList<>(plan.decodes());
    sequences.addAll(plan.prefills());
    List<SequenceStep> steps = new ArrayList<>(sequences.size());
    for (SequenceState sequence : sequences) {
      steps.add(
          new SequenceStep(
              sequence.cache(),
              sequence.nextTokens(),
              samples.get(sequence).sampler(),
              LogitsRequest.NONE));
    }
    long start = System.nanoTime();
    StepOutput output = backend.forward(new StepBatch(steps));
    long nanos = System.nanoTime() - start;
    int generated = 0;
    int usedPages = pool.total() - pool.available();
    List<Runnable> news = new ArrayList<>();
    for (int i = 0; i < sequences.size(); i++) {
      generated += accept(sequences.get(i), output.sequences().get(i), news);
    }
    count(plan, sequences.size(), generated, nanos, usedPages);
    // Who hears of a completion finds it counted.
    news.forEach(Runnable::run);
  }

  /** The number of tokens generated: 1, or 0 where the sequence failed. */
  private int accept(SequenceState sequence, SequenceOutput output, List<Runnable> news) {
    if (sequence.phase() != Phase.RUNNING) {
      return 0; // another sample of its prompt failed in this step
    }
    Sample sample = samples.get(sequence);
    if (output instanceof StepOutput.Failure failure) {
      news.add(() -> sample.fail(failure.error()));
      sample.job().samples().forEach(other -> remove(other.sequence()));
      return 0;
    }
    int token = ((StepOutput.Token) output).token();
    scheduler.advance(sequence, token);
    Optional<Completion> completion = sample.accept(token);
    if (completion.isPresent()) {
      remove(sequence);
      news.add(() -> sample.complete(completion.get()));
    }
    return 1;
  }

  private void count(StepPlan plan, int sequences, int generated, long nanos, int usedPages) {
    EngineMetrics old = metrics;
    long usedBytes = usedPages * layout.pageBytes() + sequences * layout.windowBytes();
    boolean prefill = !plan.prefills().isEmpty();
    metrics =
        new EngineMetrics(
            old.promptTokens() + plan.promptTokens(),
            old.generatedTokens() + generated,
            old.steps() + 1,
            old.sequenceSteps() + sequences,
            old.prefillNanos() + (prefill ? nanos : 0),
            old.decodeNanos() + (prefill ? 0 : nanos),
            Math.max(old.peakPages(), usedPages),
            Math.max(old.peakCacheBytes(), usedBytes),
            backend.cacheBytes(),
            slots);
  }

  private void end() {
    List<Job> pending = new ArrayList<>(queue.drain());
    samples.values().forEach(sample -> pending.add(sample.job()));
    samples.clear();
    try {
      queue.throwIfClosed();
    } catch (BulkgenException reason) {
      pending.forEach(job -> job.fail(reason));
    }
    backend.close();
  }
}
