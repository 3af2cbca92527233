package dev.bulkgen.backend.cuda;

import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.ModelConfig;

/**
 * The forward pass, one for all model families, as launches on a stream: prompts in blocks of rows,
 * decoding rows all together. Nothing here waits for the device, so that decode steps can be
 * captured.
 */
final class CudaForward {
  private final DeviceModel weights;
  private final ModelConfig model;
  private final CudaShape shape;
  private final CudaWorkspace workspace;
  private final CudaKernels kernels;
  private final CudaStream stream;

  /**
   * Where the tables of a prefill are on the device.
   *
   * @param tokens [rows]
   * @param positions [rows]
   * @param tileSequence [tiles]
   * @param tileStart [tiles]
   */
  record PromptTables(
      long tokens,
      long positions,
      PromptView prompts,
      CacheKernels.Stored stored,
      CacheKernels.Staged staged,
      long tileSequence,
      long tileStart) {}

  /**
   * Where the tables of a decode step are on the device.
   *
   * @param rows of the bucket
   * @param splits of the longest context
   * @param tokens [rows], {@link EmbeddingKernels#AS_DRAWN} for those that the step before draws
   * @param positions [rows]
   * @param slots [rows]
   */
  record DecodeTables(int rows, int splits, long tokens, long positions, long slots) {}

  CudaForward(
      DeviceModel weights, CudaWorkspace workspace, CudaKernels kernels, CudaStream stream) {
    this.weights = weights;
    this.workspace = workspace;
    this.kernels = kernels;
    this.stream = stream;
    shape = workspace.shape();
    model = shape.model();
  }

  /**
   * Prefills: leaves the residual stream of all rows after the last layer, and their K and V kept.
   * A block's queries attend to keys of its own and earlier blocks and of earlier steps, which are
   * there.
   */
  void prefill(PromptRows rows, PromptTables tables) {
    embed(EmbeddingKernels.Tokens.known(tables.tokens), rows.count);
    CacheKernels cache = kernels.cache();
    for (int layer = 0; layer < model.layerCount(); layer++) {
      for (PromptRows.Block block : rows.blocks) {
        prefillBlock(layer, block, tables);
      }
      if (rows.hasStaged()) {
        cache.stagePrompts(stream, layer, tables.prompts, tables.staged);
      }
      cache.storePrompts(stream, workspace.cache(), layer, tables.prompts, tables.stored);
    }
  }

  private void prefillBlock(int layer, PromptRows.Block block, PromptTables tables) {
    DeviceModel.Layer part = weights.layers().get(layer);
    int first = block.firstRow();
    project(kernels.promptProducts(), part, first, block.rows());
    RotaryKernels.Rows rotated =
        new RotaryKernels.Rows(
            block.rows(),
            workspace.qkv.address(),
            shape.qkvStride(),
            tables.positions + (long) Integer.BYTES * first,
            workspace.query.address());
    long keyOffset = (long) Short.BYTES * first * shape.kvWidth();
    kernels
        .rotary()
        .prompt(
            stream,
            rotated,
            part.headNorms(),
            workspace.promptKeys.address() + keyOffset,
            workspace.promptValues.address() + keyOffset);
    long tileOffset = (long) Integer.BYTES * block.firstTile();
    kernels
        .prefillAttention()
        .attend(
            stream,
            new PrefillAttentionKernels.Queries(workspace.query.address(), first),
            tables.prompts,
            layer,
            new PrefillAttentionKernels.Tiles(
                block.tiles(), tables.tileSequence + tileOffset, tables.tileStart + tileOffset),
            workspace.attended);
    feedForward(kernels.promptProducts(), part, first, block.rows());
  }

  /** One token of every row: leaves the residual stream of the rows, and their K and V cached. */
  void decode(DecodeTables tables) {
    long drawn = workspace.drawn.address();
    embed(new EmbeddingKernels.Tokens(tables.tokens, tables.slots, drawn), tables.rows);
    for (int layer = 0; layer < model.layerCount(); layer++) {
      DeviceModel.Layer part = weights.layers().get(layer);
      project(kernels.matmul(), part, 0, tables.rows);
      RotaryKernels.Rows rotated =
          new RotaryKernels.Rows(
              tables.rows,
              workspace.qkv.address(),
              shape.qkvStride(),
              tables.positions,
              workspace.query.address());
      kernels
          .rotary()
          .decode(stream, rotated, part.headNorms(), workspace.cache(), layer, tables.slots);
      attend(layer, tables);
      feedForward(kernels.matmul(), part, 0, tables.rows);
    }
  }

  private void attend(int layer, DecodeTables tables) {
    DecodeAttentionKernels.Rows rows =
        new DecodeAttentionKernels.Rows(
            tables.rows, workspace.query.address(), tables.positions, tables.slots);
    DecodeAttentionKernels.Partials partials =
        new DecodeAttentionKernels.Partials(
            tables.splits,
            workspace.partialOut.address(),
            workspace.partialMax.address(),
            workspace.partialSum.address());
    kernels.decodeAttention().attend(stream, workspace.cache(), layer, rows, partials);
    kernels.decodeAttention().merge(stream, rows, partials, workspace.attended);
    if (kernels.cache().flushes()) {
      kernels
          .cache()
          .flush(stream, workspace.cache(), layer, tables.rows, tables.positions, tables.slots);
    }
  }

  private void embed(EmbeddingKernels.Tokens tokens, int rows) {
    kernels.embedding().embed(stream, rows, tokens, workspace.hidden(0), shape.hiddenStride());
  }

  private void project(Products products, DeviceModel.Layer part, int firstRow, int rows) {
    norm(part.attentionNorm(), firstRow, rows);
    products.store(
        stream, workspace.normed, rows, part.qkv(), workspace.qkv.address(), shape.qkvStride());
  }

  /** What follows attention: the output projection, and the MLP beside or behind it. */
  private void feedForward(Products products, DeviceModel.Layer part, int firstRow, int rows) {
    long hidden = workspace.hidden(firstRow);
    if (model.block() == BlockForm.PARALLEL_TWO_NORMS) {
      norm(part.mlpNorm(), firstRow, rows);
    }
    products.add(stream, workspace.attended, rows, part.output(), hidden, shape.hiddenStride());
    if (model.block() == BlockForm.SEQUENTIAL) {
      norm(part.mlpNorm(), firstRow, rows);
    }
    products.activate(stream, workspace.normed, rows, part.up(), model.mlp(), workspace.inner);
    products.add(stream, workspace.inner, rows, part.down(), hidden, shape.hiddenStride());
  }

  /** Norms rows of the residual stream into the block's rows. */
  private void norm(NormKernels.Weights norm, int firstRow, int rows) {
    kernels.norm().norm(stream, residual(firstRow, rows, 0), norm, workspace.normed);
  }

  private NormKernels.Rows residual(int firstRow, int rows, long index) {
    return new NormKernels.Rows(
        rows, workspace.hidden(firstRow), shape.hiddenStride(), index, workspace.broken(firstRow));
  }

  /**
   * Logits of rows of the residual stream.
   *
   * @param rowIndex address of [rows] ints
   * @param rows at most the logit rows of the shape
   */
  void logits(long rowIndex, int rows) {
    NormKernels.Rows source = residual(0, rows, rowIndex);
    kernels.norm().norm(stream, source, weights.finalNorm(), workspace.last);
    kernels
        .matmul()
        .store(
            stream,
            workspace.last,
            rows,
            weights.head(),
            workspace.logits.address(),
            shape.logitStride());
  }
}
