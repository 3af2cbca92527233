package dev.bulkgen.backend.cpu;

import static dev.bulkgen.cache.CacheLayout.TOKEN_TILE;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.model.AttentionShape;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.model.NormKind;
import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.Float16;

/**
 * The forward pass, one for all model families. Rows go through a layer in blocks, twice: first K
 * and V of all rows, then everything else, so that a long prefill needs only the residual stream
 * and one layer's K and V for all its rows, and the intermediates for one block.
 */
final class CpuForward {
  private final ModelWeights weights;
  private final ModelConfig model;
  private final AttentionShape attention;
  private final Workspace workspace;
  private final WorkspaceShape shape;
  private final CpuCacheStore store;
  private final TeamKernels kernels;
  private final HeadRotation rotation;
  private final PrefillAttention prefillAttention;
  private final DecodeAttention decodeAttention;
  private final float queryScale;
  private final KvRounding rounding;

  CpuForward(
      ModelWeights weights,
      Workspace workspace,
      CpuCacheStore store,
      TeamKernels kernels,
      KvRounding rounding) {
    this.weights = weights;
    this.rounding = rounding;
    this.workspace = workspace;
    this.store = store;
    this.kernels = kernels;
    model = weights.config();
    attention = model.attention();
    shape = workspace.shape;
    rotation = new HeadRotation(model, workspace);
    prefillAttention = new PrefillAttention(workspace, store, kernels);
    decodeAttention = new DecodeAttention(workspace, store, kernels);
    queryScale = (float) (1 / Math.sqrt(attention.headDim()));
  }

  /**
   * Caches K and V of all rows and leaves the residual stream after the last layer, from the first
   * row of the workspace on, of those whose logits somebody needs.
   *
   * @return these rows
   */
  StepRows run(StepRows rows) {
    embed(rows);
    StepRows needed = rows;
    for (int layer = 0; layer < model.layerCount(); layer++) {
      ModelWeights.Layer part = weights.layers().get(layer);
      for (int from = 0; from < rows.count; from += shape.blockRows()) {
        int to = Math.min(rows.count, from + shape.blockRows());
        norm(part.attentionNorm(), from, to, workspace.normed);
        keysAndValues(rows, part, layer, from, to);
      }
      keepPrompts(rows, layer);
      if (layer == model.layerCount() - 1) {
        needed = keepNeeded(rows);
      }
      boolean areNormed = needed == rows && rows.count <= shape.blockRows();
      for (int from = 0; from < needed.count; from += shape.blockRows()) {
        int to = Math.min(needed.count, from + shape.blockRows());
        if (!areNormed) {
          norm(part.attentionNorm(), from, to, workspace.normed);
        }
        attend(needed, part, layer, from, to);
        feedForward(part, from, to);
      }
      flush(rows, layer);
    }
    markBroken(needed);
    return needed;
  }

  /**
   * Closes the gaps that rows leave whose own results nobody needs, once their K and V are kept.
   */
  private StepRows keepNeeded(StepRows rows) {
    int[] kept = rows.neededRows();
    if (kept.length == rows.count) {
      return rows;
    }
    markBroken(rows);
    int half = attention.headDim() / 2;
    for (int row = 0; row < kept.length; row++) {
      move(workspace.hidden, shape.hiddenStride(), kept[row], row);
      move(workspace.cos, half, kept[row], row);
      move(workspace.sin, half, kept[row], row);
    }
    return rows.only(kept);
  }

  private static void move(float[] rows, int stride, int from, int to) {
    System.arraycopy(rows, from * stride, rows, to * stride, stride);
  }

  /** A row that is not finite ends its sequence, even if the rows after it look sound. */
  private void markBroken(StepRows rows) {
    boolean[] broken = new boolean[rows.count];
    kernels.rows(
        rows.count,
        model.hiddenSize(),
        (from, to, kernel) -> {
          for (int row = from; row < to; row++) {
            broken[row] = !isFinite(row);
          }
        });
    for (int row = 0; row < rows.count; row++) {
      if (broken[row]) {
        int sequence = rows.sequenceOf[row];
        rows.brokenAt[sequence] = Math.min(rows.brokenAt[sequence], rows.positions[row]);
      }
    }
  }

  private void embed(StepRows rows) {
    WeightMatrix embedding = weights.embedding();
    kernels.rows(
        rows.count,
        model.hiddenSize() + 64L * attention.headDim(),
        (from, to, kernel) -> {
          for (int row = from; row < to; row++) {
            int at = row * shape.hiddenStride();
            long element = embedding.element(rows.tokens[row]);
            embedding.tensor().readFloats(element, workspace.hidden, at, model.hiddenSize());
            rotation.prepare(row, rows.positions[row]);
          }
        });
  }

  /** Norms residual rows {@code [from, to)} into the rows of a block. */
  private void norm(ModelWeights.Norm norm, int from, int to, float[] out) {
    kernels.rows(
        to - from,
        8L * model.hiddenSize(),
        (first, end, kernel) -> {
          for (int row = first; row < end; row++) {
            normRow(norm, kernel, from + row, out, row);
          }
        });
  }

  private void normRow(
      ModelWeights.Norm norm, CpuKernels kernel, int row, float[] out, int outRow) {
    int at = row * shape.hiddenStride();
    int outAt = outRow * shape.hiddenStride();
    int width = model.hiddenSize();
    float[] x = workspace.hidden;
    if (model.norm() == NormKind.RMS) {
      kernel.rmsNorm(x, at, width, norm.weight(), model.normEpsilon(), out, outAt);
    } else {
      kernel.layerNorm(x, at, width, norm.weight(), norm.bias(), model.normEpsilon(), out, outAt);
    }
  }

  private void keysAndValues(StepRows rows, ModelWeights.Layer part, int layer, int from, int to) {
    int count = to - from;
    int stride = shape.kvStride();
    kernels.multiply(
        workspace.normed, shape.hiddenStride(), count, part.key(), workspace.key, stride);
    kernels.multiply(
        workspace.normed, shape.hiddenStride(), count, part.value(), workspace.value, stride);
    kernels
        .team()
        .run(
            (count + TOKEN_TILE - 1) / TOKEN_TILE,
            (task, worker) -> {
              int end = Math.min(count, (task + 1) * TOKEN_TILE);
              for (int blockRow = task * TOKEN_TILE; blockRow < end; blockRow++) {
                place(rows, part, layer, from + blockRow, blockRow, worker);
              }
            });
  }

  /** Rounds a row's K and V to float16 and puts them where attention finds them. */
  private void place(
      StepRows rows, ModelWeights.Layer part, int layer, int row, int blockRow, int worker) {
    int at = blockRow * shape.kvStride();
    float[] key = workspace.key;
    float[] value = workspace.value;
    rotation.apply(kernels.of(worker), key, at, attention.kvHeads(), row, part.keyNorm());
    if (rounding == KvRounding.FLOAT16) {
      for (int i = at; i < at + attention.kvWidth(); i++) {
        key[i] = Float16.round(key[i]);
        value[i] = Float16.round(value[i]);
      }
    }
    int sequence = rows.sequenceOf[row];
    int position = rows.positions[row];
    int headDim = attention.headDim();
    for (int head = 0; head < attention.kvHeads(); head++) {
      int offset = at + head * headDim;
      if (rows.isPrefill(row)) {
        placeInPanels(head, rows.firstTile[sequence], position - rows.cached(row), offset);
      } else {
        SequenceCache cache = rows.sequences.get(sequence).cache();
        CpuCacheStore.Part cached = store.part(cache, layer, head);
        workspace.workers[worker].writer.append(cached, position, key, value, offset);
      }
    }
  }

  /**
   * @param token counts the prompt's tokens of this step from 0
   */
  private void placeInPanels(int head, int firstTile, int token, int offset) {
    int keyAt = workspace.keyPanel(head, firstTile + token / TOKEN_TILE) + token % TOKEN_TILE;
    int valueAt = workspace.valuePanel(head, firstTile) + token * CpuKernels.LANES;
    for (int d = 0; d < attention.headDim(); d++) {
      workspace.keyPanels[keyAt + d * TOKEN_TILE] = workspace.key[offset + d];
      int panel = d / CpuKernels.LANES * workspace.valuePanelStride();
      workspace.valuePanels[valueAt + panel + d % CpuKernels.LANES] = workspace.value[offset + d];
    }
  }

  private void keepPrompts(StepRows rows, int layer) {
    int kvHeads = attention.kvHeads();
    kernels
        .team()
        .run(
            rows.prompts.length * kvHeads,
            (task, worker) -> {
              int sequence = rows.prompts[task / kvHeads];
              SequenceStep step = rows.sequences.get(sequence);
              int head = task % kvHeads;
              int tile = rows.firstTile[sequence];
              CacheWriter.PromptTokens tokens =
                  new CacheWriter.PromptTokens(
                      step.cache().length(),
                      step.lengthAfter(),
                      workspace.keyPanels,
                      workspace.keyPanel(head, tile),
                      workspace.valuePanels,
                      workspace.valuePanel(head, tile),
                      workspace.valuePanelStride());
              workspace.workers[worker].writer.keepPrompt(
                  store.part(step.cache(), layer, head),
                  tokens,
                  step.kind() == SequenceStep.Kind.PROMPT_END);
            });
  }

  /** Leaves what attention adds to the residual in the block's branch rows. */
  private void attend(StepRows rows, ModelWeights.Layer part, int layer, int from, int to) {
    int count = to - from;
    int stride = shape.queryStride();
    kernels.multiply(
        workspace.normed, shape.hiddenStride(), count, part.query(), workspace.query, stride);
    kernels.rows(
        count,
        8L * stride,
        (first, end, kernel) -> {
          for (int row = first; row < end; row++) {
            int at = row * stride;
            rotation.apply(
                kernel, workspace.query, at, attention.queryHeads(), from + row, part.queryNorm());
            for (int i = at; i < at + attention.queryWidth(); i++) {
              workspace.query[i] *= queryScale;
            }
          }
        });
    prefillAttention.run(rows, layer, from, to);
    decodeAttention.run(rows, layer, from, to);
    kernels.multiply(
        workspace.attended, stride, count, part.output(), workspace.branch, shape.hiddenStride());
  }

  private void feedForward(ModelWeights.Layer part, int from, int to) {
    if (model.block() == BlockForm.SEQUENTIAL) {
      addBranch(from, to);
      norm(part.mlpNorm(), from, to, workspace.normed);
      multilayer(part, workspace.normed, to - from);
    } else if (model.block() == BlockForm.PARALLEL_ONE_NORM) {
      addBranch(from, to);
      multilayer(part, workspace.normed, to - from);
    } else {
      // Before attention's branch is added: both branches start from the same residual.
      norm(part.mlpNorm(), from, to, workspace.mlpNormed);
      addBranch(from, to);
      multilayer(part, workspace.mlpNormed, to - from);
    }
    addBranch(from, to);
  }

  private void addBranch(int from, int to) {
    kernels.rows(
        to - from,
        model.hiddenSize(),
        (first, end, kernel) -> {
          int at = (from + first) * shape.hiddenStride();
          int count = (end - first) * shape.hiddenStride();
          kernel.add(workspace.hidden, at, workspace.branch, first * shape.hiddenStride(), count);
        });
  }

  /** {@code branch = mlp(x)}; the activation follows its columns' products while they are warm. */
  private void multilayer(ModelWeights.Layer part, float[] x, int count) {
    int stride = shape.innerStride();
    float[] gate = workspace.gate;
    float[] up = workspace.up;
    boolean gated = model.mlp() == MlpForm.SILU_GATED;
    ModelWeights.Linear first = gated ? part.gate() : part.up();
    float[] staged = kernels.stage(x, count, shape.hiddenStride());
    kernels.columns(
        first.weight().rows(),
        (gated ? 2L : 1L) * count * model.hiddenSize(),
        (from, to, kernel) -> {
          kernel.matmul(staged, count, first.weight(), from, to, first.bias(), gate, stride);
          if (gated) {
            WeightMatrix second = part.up().weight();
            kernel.matmul(staged, count, second, from, to, part.up().bias(), up, stride);
          }
          for (int row = 0; row < count; row++) {
            activate(kernel, row * stride + from, to - from);
          }
        });
    kernels.multiply(gate, stride, count, part.down(), workspace.branch, shape.hiddenStride());
  }

  private void activate(CpuKernels kernel, int offset, int count) {
    switch (model.mlp()) {
      case SILU_GATED -> kernel.siluMultiply(workspace.gate, workspace.up, offset, count);
      case GELU -> kernel.gelu(workspace.gate, offset, count);
      case GELU_TANH -> kernel.geluTanh(workspace.gate, offset, count);
    }
  }

  private void flush(StepRows rows, int layer) {
    int kvHeads = attention.kvHeads();
    kernels
        .team()
        .run(
            rows.decodes.length * kvHeads,
            (task, worker) -> {
              SequenceCache cache = rows.sequences.get(rows.decodes[task / kvHeads]).cache();
              CpuCacheStore.Part part = store.part(cache, layer, task % kvHeads);
              workspace.workers[worker].writer.flush(part, cache.length() + 1);
            });
  }

  /**
   * Logits of {@code count} rows of what {@link #run} left, from {@code first} on, into the
   * workspace's logit rows.
   */
  void logits(int first, int count) {
    norm(weights.finalNorm(), first, first + count, workspace.normed);
    kernels.multiply(
        workspace.normed,
        shape.hiddenStride(),
        count,
        weights.head(),
        workspace.logits,
        shape.logitStride());
  }

  /** True if a row of the residual stream is finite throughout. */
  private boolean isFinite(int row) {
    int at = row * shape.hiddenStride();
    float sum = 0;
    for (int i = at; i < at + model.hiddenSize(); i++) {
      // 0 for every finite value, NaN otherwise.
      sum += workspace.hidden[i] * 0f;
    }
    return sum == 0;
  }
}
