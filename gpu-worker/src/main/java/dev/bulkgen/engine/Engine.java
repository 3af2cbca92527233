package dev.bulkgen.engine;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.error.ErrorKind;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.sampling.PhiloxRandom;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import dev.bulkgen.sampling.TokenSampler;
import dev.bulkgen.schedule.SchedulerLimits;
import dev.bulkgen.schedule.SequenceState;
import dev.bulkgen.text.Detokenizer;
import dev.bulkgen.text.StopMatcher;
import dev.bulkgen.text.Tokenizer;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;

/**
 * Generates for many prompts at once with one model, and scores given completions. Any thread may
 * submit; prompts are tokenized on the caller's thread, all else happens on the engine's one
 * thread. What a request gives depends on its key, prompt and settings and on the model alone (P1).
 * Texts are made on a thread of their own.
 */
public final class Engine implements AutoCloseable {
  private static final Logger LOG = LogManager.getLogger(Engine.class);
  private static final int QUEUE_PER_SLOT = 2;

  private final MemoryPlan plan;
  private final PromptEncoder encoder;
  private final Set<Integer> endTokens;
  private final String backend;
  private final RequestQueue queue;
  private final EngineLoop loop;
  private final Thread thread;
  private final AtomicLong sequenceIds = new AtomicLong();
  private final PromptScorer scorer;

  Engine(MemoryPlan plan, PromptEncoder encoder, Set<Integer> endTokens, Backend backend) {
    this(plan, encoder, endTokens, backend, SchedulerLimits.of(plan));
  }

  /** As above, with other limits than those that follow from the plan. */
  Engine(
      MemoryPlan plan,
      PromptEncoder encoder,
      Set<Integer> endTokens,
      Backend backend,
      SchedulerLimits limits) {
    this.plan = plan;
    this.encoder = encoder;
    this.endTokens = Set.copyOf(endTokens);
    this.backend = backend.description();
    this.scorer = new PromptScorer(plan, encoder, endTokens, sequenceIds::getAndIncrement);
    this.queue = new RequestQueue(QUEUE_PER_SLOT * plan.slots());
    this.loop = new EngineLoop(queue, backend, plan, limits);
    this.thread = new Thread(loop, "bulkgen-engine");
    thread.setDaemon(true);
    thread.start();
  }

  /** As {@link #open(EngineConfig, LocalDateTime)}, with today's date for chat templates. */
  public static Engine open(EngineConfig config) {
    return open(config, LocalDateTime.now());
  }

  /**
   * Opens the model, takes all memory of the plan, and starts the engine's thread.
   *
   * @param now what chat templates may print as today; the same for all parts of a job (P1)
   * @throws BulkgenException of kind USER for a model or setting that is wrong, MEMORY_PLAN_REFUSED
   *     for a budget that is too small, DEVICE_UNAVAILABLE for a backend that is not there
   */
  public static Engine open(EngineConfig config, LocalDateTime now) {
    BackendFactory backends = new BackendFactory(config);
    backends.requireAvailable();
    ModelFolder folder = ModelFolder.open(config.model());
    MemoryPlanner planner = new MemoryPlanner(config, folder.description());
    MemoryPlan plan = planner.plan();
    PromptEncoder encoder =
        PromptEncoder.open(
            config.model(),
            folder.config().vocabSize(),
            planner.maxModelLen(),
            config.promptOverflow(),
            now);
    Set<Integer> endTokens = endTokens(folder, encoder);
    Backend backend = backends.open(folder.weights(), plan);
    try {
      HostCpu.warning().ifPresent(LOG::warn);
      LOG.info("engine on {}, cache {}", backend.description(), plan.layout().policy().name());
      return new Engine(plan, encoder, endTokens, backend);
    } catch (RuntimeException | Error e) {
      backend.close();
      throw e;
    }
  }

  private static Set<Integer> endTokens(ModelFolder folder, PromptEncoder encoder) {
    Set<Integer> configured = folder.config().eosTokenIds();
    Set<Integer> endTokens =
        encoder
            .tokenizer()
            .<Set<Integer>>map(tokenizer -> tokenizer.eosIds(configured))
            .orElseGet(() -> new TreeSet<>(configured));
    endTokens.removeIf(token -> token >= encoder.vocabSize());
    folder.description().warnings().forEach(LOG::warn);
    if (endTokens.isEmpty()) {
      LOG.warn(
          "{}: the model has no end token, so every text goes on to max-tokens, a stop string or"
              + " the model's length",
          folder.path());
    }
    return endTokens;
  }

  /**
   * Queues a request, waiting while the queue is full. Cancelling the future frees its sequences.
   * What is attached to the future runs on the thread that makes texts: keep it short, and do not
   * submit from there.
   *
   * @return the completions in the order of the samples; fails with a BulkgenException of kind DATA
   *     where this row cannot be done
   * @throws BulkgenException SETTING_INVALID, TOKENIZER_INVALID or CHAT_TEMPLATE_INVALID for what
   *     no row could do; QUEUE_CLOSED after {@link #close}; the cause where the engine has failed
   * @throws IllegalStateException on a thread of the engine
   */
  public CompletableFuture<List<Completion>> submit(GenerateRequest request) {
    return enqueue(() -> job(request));
  }

  private Job<Completion> job(GenerateRequest request) {
    SamplingParams params = request.params();
    check(params);
    int[] prompt = encoder.encode(request.prompt(), params);
    Job<Completion> job = new Job<>(params.n());
    for (int i = 0; i < params.n(); i++) {
      job.sequences().add(sample(job, request, i, prompt));
    }
    return job;
  }

  private <R> CompletableFuture<List<R>> enqueue(Supplier<Job<R>> request) {
    if (isOwnThread()) {
      throw new IllegalStateException("it would wait for the thread it is called on");
    }
    queue.throwIfClosed();
    Job<R> job;
    try {
      job = request.get();
    } catch (BulkgenException e) {
      if (e.kind() != ErrorKind.DATA) {
        throw e;
      }
      return CompletableFuture.failedFuture(e);
    }
    if (!job.isDone()) {
      queue.put(job);
    }
    return job.future();
  }

  /**
   * Asks for the log-likelihood of completions after a prompt, which prefill alone computes, in
   * full precision: neither batch, neighbours, shared beginnings nor the parts of a prompt change a
   * bit of it (P1). Waits while the queue is full; cancelling the future frees its sequences; what
   * is attached to it runs as for {@link #submit}.
   *
   * <p>Prompt and completion together may be as long as the model. What is longer fails, or, with
   * prompt-overflow keep-end or keep-start, loses tokens of the prompt, at its beginning in both
   * cases, never of the completion. A whole text that is longer is scored in windows that feed as
   * many tokens as the model is long, each token scored once: the first begins with the text, each
   * later one feeds the token before those it scores, and the last, which has fewer to score, is
   * filled up with tokens before them.
   *
   * @return a score for each completion, in order; fails with a BulkgenException of kind DATA where
   *     this row cannot be done
   * @throws BulkgenException as {@link #submit}
   * @throws IllegalStateException on a thread of the engine
   */
  public CompletableFuture<List<Score>> score(ScoreRequest request) {
    return enqueue(() -> scorer.job(request));
  }

  /** Submits all and waits for all: the completions of each request, in the requests' order. */
  public List<List<Completion>> generateAll(List<GenerateRequest> requests) {
    List<CompletableFuture<List<Completion>>> futures = new ArrayList<>(requests.size());
    try {
      for (GenerateRequest request : requests) {
        futures.add(submit(request));
      }
      return futures.stream().map(CompletableFuture::join).toList();
    } catch (CompletionException e) {
      throw e.getCause() instanceof BulkgenException known ? known : e;
    } finally {
      futures.forEach(future -> future.cancel(false)); // those that a failure left
    }
  }

  public MemoryPlan memoryPlan() {
    return plan;
  }

  /** Empty where the model has none. */
  public Optional<Tokenizer> tokenizer() {
    return encoder.tokenizer();
  }

  /** False once it is closed or has failed: every request is then refused with the reason. */
  public boolean isOpen() {
    return !queue.isClosed();
  }

  public EngineMetrics metrics() {
    return loop.metrics();
  }

  /** For logs and reports, such as {@code cpu (vector, 2 threads)}. */
  public String backendDescription() {
    return backend;
  }

  /** Fails what is pending with QUEUE_CLOSED and frees all; waits for the step that runs. */
  @Override
  public void close() {
    queue.close(
        BulkgenException.of(ErrorCode.QUEUE_CLOSED, "the engine is closed; open another to go on"));
    if (isOwnThread()) {
      return; // the loop ends after the callback that called this
    }
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  private boolean isOwnThread() {
    return Thread.currentThread() == thread || loop.isTextThread();
  }

  private void check(SamplingParams params) {
    List<String> mistakes = new ArrayList<>(SamplingParamsBuilder.mistakes(params));
    if (params.minTokens() > 0 && nothingIsLeft(params)) {
      mistakes.add(
          "min-tokens: every one of the model's "
              + encoder.vocabSize()
              + " tokens ends a text, so none is left to begin one; set it to 0, or take ids out of"
              + " stop-token-ids");
    }
    if (!params.stop().isEmpty() && encoder.tokenizer().isEmpty()) {
      mistakes.add("stop: the model has no tokenizer.json; use stop-token-ids");
    }
    if (!mistakes.isEmpty()) {
      throw new BulkgenException(ErrorCode.SETTING_INVALID, String.join("\n", mistakes));
    }
  }

  /** Whether holding back what ends a text leaves no token at all. */
  private boolean nothingIsLeft(SamplingParams params) {
    Set<Integer> ends = params.ignoreEos() ? Set.of() : endTokens;
    Set<Integer> stops = params.stopTokenIds();
    if ((long) ends.size() + stops.size() < encoder.vocabSize()) {
      return false;
    }
    return IntStream.range(0, encoder.vocabSize())
        .allMatch(token -> ends.contains(token) || stops.contains(token));
  }

  private Sample sample(Job<Completion> job, GenerateRequest request, int index, int[] prompt) {
    SamplingParams params = request.params();
    int room = plan.demand().maxModelLen() - prompt.length;
    int maxTokens = Math.min(params.maxTokens().orElse(room), room);
    PhiloxRandom random = new PhiloxRandom(params.seed(), request.key(), index);
    return new Sample(
        job,
        params,
        index,
        new SequenceState(sequenceIds.getAndIncrement(), prompt, maxTokens),
        new TokenSampler(params, prompt, endTokens, random),
        endTokens,
        new CompletionText(
            detokenizer(request.prompt()), new StopMatcher(params.stop()), params.minTokens()),
        CommonPrefixes.count(request.prefixes(), prompt, plan));
  }

  /** An answer to messages is a text of its own; else the text goes on from the prompt's. */
  private Detokenizer detokenizer(Prompt prompt) {
    Optional<Tokenizer> tokenizer = encoder.tokenizer();
    if (tokenizer.isEmpty()) {
      return null;
    }
    return prompt instanceof Prompt.Messages
        ? tokenizer.get().detokenizer()
        : tokenizer.get().continuation();
  }
}
