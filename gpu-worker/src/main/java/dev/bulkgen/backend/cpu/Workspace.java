package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.WorkspaceShape.length;
import static dev.bulkgen.backend.cpu.WorkspaceShape.padded;

import dev.bulkgen.cache.CacheLayout;

/**
 * Every buffer of the forward pass, taken once at start. What lies between a row's width and its
 * stride is zero and stays so.
 */
final class Workspace {
  final WorkspaceShape shape;
  final float[] hidden; // [maxRows][hiddenStride], the residual stream
  final float[] cos; // [maxRows][headDim/2]
  final float[] sin; // [maxRows][headDim/2]
  final float[] normed; // [blockRows][hiddenStride]
  final float[] mlpNormed; // [blockRows][hiddenStride], empty but for two parallel norms
  final float[] branch; // [blockRows][hiddenStride], what a branch adds to the residual
  final float[] query; // [blockRows][queryStride]
  final float[] attended; // [blockRows][queryStride]
  final float[] key; // [blockRows][kvStride]
  final float[] value; // [blockRows][kvStride]
  final float[] gate; // [blockRows][innerStride], the only inner one without a gate
  final float[] up; // [blockRows][innerStride], empty without a gate
  final float[] stagedRows; // [blockRows rounded up][widest stride of a product's x]
  final float[] logits; // [logitRows][logitStride]
  final float[] keyPanels; // [kvHeads][promptTiles][headDim][16]
  final float[] valuePanels; // [kvHeads][ceil(headDim/16)][promptTiles · 16][16]
  final float[] splitValues; // [maxSplits][queryHeads][headDim]
  final float[] splitMax; // [maxSplits][queryHeads]
  final float[] splitSum; // [maxSplits][queryHeads]
  final Worker[] workers;

  Workspace(WorkspaceShape shape) {
    this.shape = shape;
    int rows = shape.blockRows();
    int kvHeads = shape.model().attention().kvHeads();
    int queryHeads = shape.model().attention().queryHeads();
    long promptTokens = (long) shape.promptTiles() * CacheLayout.TOKEN_TILE;
    hidden = new float[length("hidden states", shape.maxRows(), shape.hiddenStride())];
    cos = new float[length("cosines", shape.maxRows(), shape.headDim() / 2)];
    sin = new float[cos.length];
    normed = new float[length("normed rows", rows, shape.hiddenStride())];
    mlpNormed = new float[shape.hasMlpNorm() ? normed.length : 0];
    branch = new float[normed.length];
    query = new float[length("queries", rows, shape.queryStride())];
    attended = new float[query.length];
    key = new float[length("keys", rows, shape.kvStride())];
    value = new float[key.length];
    gate = new float[length("inner rows", rows, shape.innerStride())];
    up = new float[shape.isGated() ? gate.length : 0];
    stagedRows = new float[shape.stagedRows()];
    logits = new float[length("logits", shape.logitRows(), shape.logitStride())];
    keyPanels = new float[length("prompt keys", kvHeads, promptTokens, shape.headDim())];
    valuePanels =
        new float[length("prompt values", kvHeads, promptTokens, padded(shape.headDim()))];
    splitMax = new float[length("context splits", shape.maxSplits(), queryHeads)];
    splitSum = new float[splitMax.length];
    splitValues = new float[length("context splits", splitMax.length, shape.headDim())];
    workers = new Worker[shape.threads()];
    for (int i = 0; i < workers.length; i++) {
      workers[i] = new Worker(shape);
    }
  }

  /** Where the K tiles of a prompt begin. */
  int keyPanel(int kvHead, int tile) {
    return (kvHead * shape.promptTiles() + tile) * shape.headDim() * CacheLayout.TOKEN_TILE;
  }

  /** Where the V panel of the first 16 channels of a prompt begins. */
  int valuePanel(int kvHead, int tile) {
    return kvHead * shape.valuePanels() * valuePanelStride()
        + tile * CacheLayout.TOKEN_TILE * CpuKernels.LANES;
  }

  int valuePanelStride() {
    return shape.promptTiles() * CacheLayout.TOKEN_TILE * CpuKernels.LANES;
  }

  /** What one thread needs for itself. */
  static final class Worker {
    final float[] promptScores; // [promptScoreRows][promptColumns]
    final float[] promptValues; // [promptScoreRows][headDim padded]
    final float[] pagePanels; // [panels][rows][16] of K or V
    final float[] query; // [groupSize][headDim]
    final float[] scores; // [groupSize][splitColumns]
    final float[] values; // [groupSize][headDim]
    final float[] zeroSums; // [groupSize][valueGroups]
    final short[] halves; // [pageTokens][headDim] in either order
    final int[] words;
    final short[] scales; // and zeros
    final CacheWriter writer;

    private Worker(WorkspaceShape shape) {
      int heads = shape.model().attention().groupSize();
      int queries = shape.promptScoreRows();
      promptScores = new float[length("prompt scores", queries, shape.promptColumns())];
      promptValues = new float[queries * padded(shape.headDim())];
      pagePanels = new float[shape.pagePanelFloats()];
      query = new float[heads * shape.headDim()];
      scores = new float[length("scores", heads, shape.splitColumns())];
      values = new float[heads * shape.headDim()];
      zeroSums = new float[heads * shape.valueGroups()];
      halves = new short[shape.stagedHalves()];
      words = new int[shape.stagedWords()];
      scales = new short[shape.stagedScales()];
      writer = new CacheWriter(shape.layout());
    }
  }
}
