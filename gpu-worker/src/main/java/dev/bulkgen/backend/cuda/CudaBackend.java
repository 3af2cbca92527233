package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.StepCheck;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.backend.StepOutput.SequenceOutput;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.tensor.DType;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.function.Supplier;

/**
 * Runs a model on a CUDA device through its driver. Weights, cache and workspaces are taken at
 * {@link #open} and never grow. A step runs its prompts side by side, then its decoding rows as one
 * graph. The same bits come out whatever the batch (P1). For one thread at a time.
 */
public final class CudaBackend implements Backend {
  /** Steps that may wait for their results. */
  private static final int MOST_PENDING = 2;

  private final CudaContext context;
  private final CudaShape shape;
  private final StepCheck check;
  private final DeviceCache cache;
  private final TokenCounter counter;
  private final PromptPass prompts;
  private final DecodePass decodes;
  private final CudaStream stream;
  private final PendingTokens pendingTokens;
  private final Deque<StepResults> free = new ArrayDeque<>();
  private final Deque<PendingStep> pending = new ArrayDeque<>();
  private final Deque<Runnable> closing = new ArrayDeque<>();

  private CudaBackend(
      CudaContext context,
      ModelWeights weights,
      CacheLayout layout,
      CacheCapacity capacity,
      Precision precision,
      GemmChoice gemm,
      Supplier<PlainProducts> foreign) {
    this.context = context;
    closing.push(context::close);
    try {
      context.kernels().requireAll();
      int weightPieces = DeviceModel.weightPieces(weights);
      shape = CudaShape.of(weights.config(), layout, capacity, weightPieces, precision, gemm);
      check = new StepCheck("cuda", shape.model(), layout, capacity);
      stream = context.newStream("steps");
      closing.push(stream::close);
      DeviceModel model = DeviceModel.upload(context, weights, shape.maxLength());
      closing.push(model::close);
      CudaWorkspace workspace = new CudaWorkspace(context, shape, activationType(weights));
      closing.push(workspace::close);
      stream.fill(workspace.arrivals, (byte) 0);
      PlainProducts promptProducts = gemm == GemmChoice.OWN ? null : foreign.get();
      if (promptProducts != null) {
        closing.push(promptProducts::close);
      }
      CudaKernels kernels = CudaKernels.of(context, model, workspace, promptProducts);
      CudaForward forward = new CudaForward(model, workspace, kernels, stream);
      DeviceSampler sampler = new DeviceSampler(context, workspace, kernels.sampling(), stream);
      closing.push(sampler::close);
      pendingTokens = new PendingTokens();
      counter = new TokenCounter(context, workspace, kernels.sampling(), pendingTokens, stream);
      closing.push(counter::close);
      OwnedMemory results = new OwnedMemory(context);
      closing.push(results::close);
      for (int i = 0; i < MOST_PENDING; i++) {
        free.add(new StepResults(results, workspace, stream));
      }
      RowChooser chooser = new RowChooser(shape, forward, sampler, pendingTokens);
      cache = new DeviceCache(context, workspace, kernels.copy(), stream);
      closing.push(cache::close);
      prompts = new PromptPass(context, workspace, forward, chooser, stream);
      closing.push(prompts::close);
      decodes = new DecodePass(context, workspace, forward, chooser, stream);
      closing.push(decodes::close);
      stream.synchronize();
      context.detach();
    } catch (RuntimeException | Error e) {
      try {
        close();
      } catch (RuntimeException next) {
        e.addSuppressed(next);
      }
      throw e;
    }
  }

  /**
   * Uploads the weights and takes cache and workspaces. The thread that runs the steps may be
   * another one.
   *
   * @param context is closed with the backend, also where this fails
   * @param precision of activations
   * @param gemm what multiplies prompts; cuBLAS only with one piece
   * @throws BulkgenException DEVICE_OUT_OF_MEMORY with the sizes; DEVICE_UNAVAILABLE without the
   *     library of {@code gemm}; SETTING_INVALID where it does not fit
   */
  public static CudaBackend open(
      CudaContext context,
      ModelWeights weights,
      CacheLayout layout,
      CacheCapacity capacity,
      Precision precision,
      GemmChoice gemm) {
    return open(context, weights, layout, capacity, precision, gemm, CublasProducts::open);
  }

  /** As above; {@code foreign} stands for cuBLAS, and is closed with the backend. */
  static CudaBackend open(
      CudaContext context,
      ModelWeights weights,
      CacheLayout layout,
      CacheCapacity capacity,
      Precision precision,
      GemmChoice gemm,
      Supplier<PlainProducts> foreign) {
    return new CudaBackend(context, weights, layout, capacity, precision, gemm, foreign);
  }

  private static DType activationType(ModelWeights weights) {
    return DeviceModel.weightType(weights) == DType.F16 ? DType.F16 : DType.BF16;
  }

  /** Whether this build has kernels for cards. */
  public static boolean hasKernels() {
    return ModuleImages.ofDriver().image("matmul").isPresent();
  }

  @Override
  public String description() {
    CudaDevice device = context.device();
    return String.format(Locale.ROOT, "cuda (%s, device %d)", device.name(), device.ordinal());
  }

  @Override
  public void swapOut(SequenceCache from, SequenceCache to) {
    context.attach();
    check.checkSwapOut(from, to);
    cache.swapOut(from, to);
  }

  @Override
  public void swapIn(SequenceCache from, SequenceCache to) {
    context.attach();
    check.checkSwapIn(from, to);
    cache.swapIn(from, to);
  }

  @Override
  public boolean isAsynchronous() {
    return true;
  }

  @Override
  public PendingStep submit(StepBatch batch) {
    context.attach();
    check.check(batch);
    batch.sequences().forEach(pendingTokens::check);
    if (free.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "%d steps have been submitted and not been waited for", MOST_PENDING);
    }
    pendingTokens.begin();
    cache.update(batch);
    counter.prepare(batch.sequences());
    List<SequenceStep> all = batch.sequences();
    List<SequenceStep> prefilling = all.stream().filter(SequenceStep::isPrefill).toList();
    List<SequenceStep> decoding = all.stream().filter(step -> !step.isPrefill()).toList();
    StepResults results = free.element();
    Supplier<List<SequenceOutput>> prefilled =
        prefilling.isEmpty() ? List::of : prompts.start(prefilling, results);
    Supplier<List<SequenceOutput>> decoded =
        decoding.isEmpty() ? List::of : decodes.start(decoding, results);
    if (reportsLogProbs(all)) {
      results.fetchLogProbs();
    }
    results.fetchTokens();
    free.remove();
    pendingTokens.submitted();
    Submitted step = new Submitted(all, results, prefilled, decoded);
    pending.add(step);
    return step;
  }

  private static boolean reportsLogProbs(List<SequenceStep> sequences) {
    return sequences.stream()
        .anyMatch(step -> step.draws() && step.sampler().logProbs().isPresent());
  }

  /** A step whose work the device has. */
  private final class Submitted implements PendingStep {
    private final List<SequenceStep> sequences;
    private final StepResults results;
    private final Supplier<List<SequenceOutput>> prefilled;
    private final Supplier<List<SequenceOutput>> decoded;

    Submitted(
        List<SequenceStep> sequences,
        StepResults results,
        Supplier<List<SequenceOutput>> prefilled,
        Supplier<List<SequenceOutput>> decoded) {
      this.sequences = sequences;
      this.results = results;
      this.prefilled = prefilled;
      this.decoded = decoded;
    }

    @Override
    public StepOutput await() {
      context.attach();
      if (pending.peek() != this) {
        throw BulkgenException.of(
            ErrorCode.INTERNAL, "a step is waited for again, or before the one before it");
      }
      results.await();
      pending.remove();
      pendingTokens.arrived();
      Iterator<SequenceOutput> fromPrompts = prefilled.get().iterator();
      Iterator<SequenceOutput> fromRows = decoded.get().iterator();
      free.add(results);
      return new StepOutput(
          sequences.stream()
              .map(step -> (step.isPrefill() ? fromPrompts : fromRows).next())
              .toList());
    }
  }

  @Override
  public void copyCache(SequenceCache from, SequenceCache to) {
    context.attach();
    check.checkCopy(from, to);
    cache.copy(from, to);
  }

  @Override
  public long cacheBytes() {
    return shape.cacheBytes();
  }

  /** Gives everything back, the context too. Again does nothing. */
  @Override
  public void close() {
    if (closing.isEmpty()) {
      return;
    }
    context.attach();
    Cleanup cleanup = new Cleanup();
    // A step that threw may have left work that still uses what is given back now.
    cleanup.run(context::settle);
    while (!closing.isEmpty()) {
      cleanup.run(closing.pop());
    }
    cleanup.finish();
  }
}
