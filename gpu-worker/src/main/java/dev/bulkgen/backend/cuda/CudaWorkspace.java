package dev.bulkgen.backend.cuda;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.tensor.DType;

/** All memory of a device that a backend has beside the weights, taken once. */
final class CudaWorkspace implements AutoCloseable {
  private final CudaShape shape;
  private final DType type;
  private final CudaCacheView cache;
  private final OwnedMemory memory;

  final DeviceMemory pages;
  final DeviceMemory windows;
  final DeviceMemory pageTable; // int [slots][layers][maxPages]
  final DeviceMemory staging; // float16, prompts' exact K and V
  final DeviceMemory stagingTable; // int [slots][layers][maxStagingPages]
  final DeviceMemory counts; // uint16 [slots][vocabulary]
  final DeviceMemory drawn; // int [slots] drawn last, [prefillTokens] likeliest of scored rows
  final DeviceMemory logProbs; // float [slots + prefillTokens], of what was drawn and of targets
  final DeviceMemory topTokens; // int [slots][100]
  final DeviceMemory topLogProbs; // float [slots][100]
  final DeviceMemory hidden; // float [maxRows][hiddenStride], the residual stream
  final DeviceMemory broken; // int [maxRows], 1 where a row is no longer finite
  final DeviceMemory qkv; // float [blockRows][qkvStride]
  final DeviceMemory query; // float [blockRows][queryWidth]
  final DeviceMemory promptKeys; // float16 [prefillTokens][kvWidth]
  final DeviceMemory promptValues;
  final DeviceMemory partialOut; // float [slots][maxSplits][queryHeads][headDim]
  final DeviceMemory partialMax; // float [slots][maxSplits][queryHeads]
  final DeviceMemory partialSum;
  final DeviceMemory logits; // float [logitRows][logitStride]
  final DeviceMemory products; // partial sums of matrix products
  final DeviceMemory arrivals; // int counters of matrix products
  final DeviceMemory promptSums; // float, products of prompts before their epilogue
  final Pieces normed; // [blockRows][hiddenStride]
  final Pieces attended; // [blockRows][attendedStride]
  final Pieces inner; // [blockRows][innerStride]
  final Pieces last; // [logitRows][hiddenStride], rows that go into the head

  CudaWorkspace(CudaContext context, CudaShape shape, DType type) {
    this.shape = shape;
    memory = new OwnedMemory(context);
    this.type = type;
    try {
      pages = memory.device(shape.pageBytes(), "cache pages");
      windows = memory.device(shape.windowBytes(), "cache windows");
      pageTable = memory.device(shape.pageTableBytes(), "page table");
      staging = memory.device(shape.stagingBytes(), "staging pages");
      stagingTable = memory.device(shape.stagingTableBytes(), "table of staging pages");
      counts = memory.device(shape.countBytes(), "token counts");
      drawn = memory.device(shape.resultBytes(), "next tokens");
      logProbs = memory.device(shape.resultBytes(), "log-probabilities");
      topTokens = memory.device(shape.topBytes(), "likeliest tokens");
      topLogProbs = memory.device(shape.topBytes(), "likeliest tokens");
      hidden = memory.device(shape.hiddenBytes(), "residual stream");
      broken = memory.device(shape.brokenBytes(), "finite flags");
      qkv = memory.device(shape.qkvBytes(), "queries, keys and values");
      query = memory.device(shape.queryBytes(), "queries");
      promptKeys = memory.device(shape.promptKeyBytes(), "keys of prompts");
      promptValues = memory.device(shape.promptKeyBytes(), "values of prompts");
      partialOut = memory.device(shape.partialOutBytes(), "splits of attention");
      partialMax = memory.device(shape.partialSumBytes(), "maxima of splits");
      partialSum = memory.device(shape.partialSumBytes(), "sums of splits");
      logits = memory.device(shape.logitBytes(), "logits");
      MatmulNeeds needs = shape.productNeeds();
      products = memory.device(needs.partialBytes(), "partial products");
      arrivals = memory.device((long) Integer.BYTES * needs.arrivals(), "counters of products");
      promptSums = memory.device(shape.promptSumBytes(), "sums of prompts");
      normed = pieces(shape.blockRows(), shape.hiddenStride(), "normed rows");
      attended = pieces(shape.blockRows(), shape.attendedStride(), "attended rows");
      inner = pieces(shape.blockRows(), shape.innerStride(), "MLP rows");
      cache =
          new CudaCacheView(
              shape.layout(),
              pages.address(),
              windows.address(),
              pageTable.address(),
              shape.maxPages());
      last = pieces(shape.logitRows(), shape.hiddenStride(), "last rows");
    } catch (RuntimeException | Error e) {
      close();
      throw e;
    }
  }

  CudaShape shape() {
    return shape;
  }

  /** Where prompts' tokens of earlier steps are as they were. */
  PromptView.Kept kept() {
    CacheLayout layout = shape.layout();
    if (layout.isExact()) {
      return new PromptView.Kept(
          pages.address(), pageTable.address(), layout.layers(), shape.maxPages(), true);
    }
    return shape.maxStagingPages() == 0
        ? PromptView.Kept.NONE
        : new PromptView.Kept(
            staging.address(),
            stagingTable.address(),
            layout.layers(),
            shape.maxStagingPages(),
            false);
  }

  /** Address of {@code row} of the residual stream. */
  long hidden(int row) {
    return hidden.address() + (long) Float.BYTES * row * shape.hiddenStride();
  }

  /** Address of the flag of {@code row}. */
  long broken(int row) {
    return broken.address() + (long) Integer.BYTES * row;
  }

  /** Before a pass: none of the first {@code rows} is known not to be finite. */
  void clearFlags(CudaStream stream, int rows) {
    stream.fillInts(broken.slice(0, (long) rows * Integer.BYTES, broken.what()), 0);
  }

  /** Where the cache lies. */
  CudaCacheView cache() {
    return cache;
  }

  private Pieces pieces(int rows, int stride, String what) {
    DeviceMemory planes = memory.device(shape.pieceBytes(rows, stride), what);
    return Pieces.of(planes.address(), type, shape.pieces(), rows, stride);
  }

  @Override
  public void close() {
    memory.close();
  }
}
