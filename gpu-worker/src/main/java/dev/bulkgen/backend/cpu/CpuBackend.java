package dev.bulkgen.backend.cpu;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepBatch;
import dev.bulkgen.backend.StepCheck;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.DrawnToken;
import dev.bulkgen.sampling.LogProbs;
import dev.bulkgen.sampling.Sampler;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;

/**
 * Runs a model on the CPU. Weights are used in place in their mapped files; cache and workspaces
 * are taken at {@link #open} and never grow. The same bits come out whatever the batch, the number
 * of threads and the arithmetic (P1).
 */
public final class CpuBackend implements Backend {
  private final ModelConfig model;
  private final WorkspaceShape shape;
  private final Workspace workspace;
  private final CpuCacheStore store;
  private final ThreadTeam team;
  private final TeamKernels kernels;
  private final CpuForward forward;
  private final StepCheck check;
  private final DrawnTokens drawn;

  CpuBackend(
      ModelWeights weights, WorkspaceShape shape, Arithmetic arithmetic, KvRounding rounding) {
    this.shape = shape;
    model = weights.config();
    check = new StepCheck("cpu", model, shape.layout(), shape.capacity());
    drawn = new DrawnTokens(shape.capacity().slots());
    Supplier<CpuKernels> supplier = CpuKernelsProvider.of(arithmetic);
    CpuKernels[] perWorker = new CpuKernels[shape.threads()];
    Arrays.setAll(perWorker, i -> supplier.get());
    store = new CpuCacheStore(shape.layout(), shape.capacity());
    workspace = new Workspace(shape);
    team = new ThreadTeam("bulkgen-cpu", shape.threads());
    kernels = new TeamKernels(team, perWorker, workspace.stagedRows);
    forward = new CpuForward(weights, workspace, store, kernels, rounding);
  }

  /**
   * Takes cache and workspaces and starts the threads.
   *
   * @param threads that compute, the calling one among them
   * @throws BulkgenException MEMORY_PLAN_REFUSED if the JVM does not give the memory
   */
  public static CpuBackend open(
      ModelWeights weights,
      CacheLayout layout,
      CacheCapacity capacity,
      int threads,
      Arithmetic arithmetic) {
    WorkspaceShape shape = new WorkspaceShape(weights.config(), layout, capacity, threads);
    return new CpuBackend(weights, shape, arithmetic, KvRounding.FLOAT16);
  }

  /** As above, vectorized where this JVM can; where it cannot, one log line says what to add. */
  public static CpuBackend open(
      ModelWeights weights, CacheLayout layout, CacheCapacity capacity, int threads) {
    return open(weights, layout, capacity, threads, CpuKernelsProvider.best());
  }

  /** What {@link #open} would compute with, such as {@code vector, 512 bit}. */
  public static String arithmetic() {
    return CpuKernelsProvider.of(CpuKernelsProvider.best()).get().toString();
  }

  /** Bytes of heap that {@link #open} takes for buffers; the cache comes on top. */
  public static long workspaceBytes(
      ModelConfig model, CacheLayout layout, CacheCapacity capacity, int threads) {
    return new WorkspaceShape(model, layout, capacity, threads).bytes();
  }

  @Override
  public String description() {
    int threads = team.size();
    return "cpu (" + kernels.of(0) + ", " + threads + (threads == 1 ? " thread)" : " threads)");
  }

  @Override
  public long cacheBytes() {
    return store.bytes();
  }

  /** Bytes of the swap area; {@link #cacheBytes} does not count them. */
  public long swapBytes() {
    return store.swapBytes();
  }

  CpuCacheStore store() {
    return store;
  }

  @Override
  public void copyCache(SequenceCache from, SequenceCache to) {
    check.checkCopy(from, to);
    store.copy(from, to);
  }

  @Override
  public void swapOut(SequenceCache from, SequenceCache to) {
    check.checkSwapOut(from, to);
    store.swapOut(from, to);
  }

  @Override
  public void swapIn(SequenceCache from, SequenceCache to) {
    check.checkSwapIn(from, to);
    store.swapIn(from, to);
  }

  /** Computes at once: a step that is submitted next finds this one's tokens. */
  @Override
  public PendingStep submit(StepBatch batch) {
    StepOutput output = run(batch);
    return () -> output;
  }

  private StepOutput run(StepBatch batch) {
    check.check(batch);
    StepRows rows = forward.run(new StepRows(drawn.complete(batch), shape));
    StepOutput.SequenceOutput[] outputs = new StepOutput.SequenceOutput[rows.sequences.size()];
    for (int s = 0; s < outputs.length; s++) {
      BulkgenException failed = drawn.failure(batch.sequences().get(s));
      if (failed == null && rows.brokenAt[s] != StepRows.NOT_BROKEN) {
        failed = StepCheck.notFinite(rows.brokenAt[s]);
      }
      outputs[s] = failed == null ? null : new StepOutput.Failure(failed);
    }
    choose(rows, outputs);
    StepOutput output = new StepOutput(List.of(outputs));
    drawn.keep(batch, output);
    return output;
  }

  /** Draws and scores, so many rows at a time as there is room for logits. */
  private void choose(StepRows rows, StepOutput.SequenceOutput[] outputs) {
    float[][][] wanted = new float[outputs.length][][]; // [sequences][rows][vocabSize]
    for (int s = 0; s < outputs.length; s++) {
      SequenceStep sequence = rows.sequences.get(s);
      wanted[s] = new float[sequence.logits() == LogitsRequest.NONE ? 0 : rows.rowCount[s]][];
      int targets = sequence.targets().length;
      if (outputs[s] == null && targets > 0) {
        outputs[s] = new StepOutput.Scored(new float[targets], new int[targets]);
      } else if (outputs[s] == null && !sequence.draws()) {
        outputs[s] = new StepOutput.Fed(wanted[s]);
      }
    }
    for (int first = 0; first < rows.count; first += shape.logitRows()) {
      int start = first;
      int count = Math.min(shape.logitRows(), rows.count - first);
      forward.logits(first, count);
      team.run(
          count,
          (task, worker) ->
              chooseRow(rows, start + task, task * shape.logitStride(), wanted, outputs));
    }
    for (int s = 0; s < outputs.length; s++) {
      if (outputs[s] instanceof StepOutput.Scored scored) {
        outputs[s] = scored.orFailure(rows.sequences.get(s).lengthAfter());
      }
    }
  }

  private void chooseRow(
      StepRows rows, int row, int at, float[][][] wanted, StepOutput.SequenceOutput[] outputs) {
    int s = rows.sequenceOf[row];
    float[] logits = workspace.logits;
    if (outputs[s] instanceof StepOutput.Scored scored) {
      int index = row - rows.firstRow[s];
      scoreRow(at, rows.sequences.get(s).targets()[index], scored, index);
      return;
    }
    if (wanted[s].length > 0) {
      wanted[s][row - rows.firstRow[s]] = Arrays.copyOfRange(logits, at, at + model.vocabSize());
    }
    if (row != rows.lastRow(s) || outputs[s] != null) {
      return;
    }
    try {
      Sampler sampler = rows.sequences.get(s).sampler();
      DrawnToken drawn = DrawnToken.of(sampler, logits, at, model.vocabSize());
      outputs[s] = new StepOutput.Token(drawn.token(), wanted[s], drawn.logProbs());
    } catch (BulkgenException e) {
      if (e.code() != ErrorCode.NUMERIC_FAILURE) {
        throw e;
      }
      outputs[s] = new StepOutput.Failure(e);
    }
  }

  private void scoreRow(int at, int target, StepOutput.Scored scored, int index) {
    try {
      LogProbs logProbs = LogProbs.of(workspace.logits, at, model.vocabSize());
      scored.likeliest()[index] = logProbs.likeliest();
      scored.logProbs()[index] = logProbs.of(workspace.logits[at + target]);
    } catch (BulkgenException e) {
      if (e.code() != ErrorCode.NUMERIC_FAILURE) {
        throw e;
      }
      scored.likeliest()[index] = StepOutput.NO_TOKEN;
    }
  }

  /** Ends the threads; the memory goes with this object. */
  @Override
  public void close() {
    team.close();
  }
}
