package dev.bulkgen.backend.cpu;

import dev.bulkgen.cache.CacheLayout;

/**
 * Reads pages of float16 K and V that prompts attend to, where they are: whoever shares a prefix
 * shares its pages. What is read of one K/V head passes through a buffer that stays in the
 * first-level cache. Belongs to one worker.
 */
final class ExactPages {
  /** Tokens of a page, the same for staging and for caches that are exact. */
  static final int TOKENS = 32;

  private final CacheLayout layout;
  private final Workspace.Worker scratch;
  private final CpuKernels kernels;
  private final int headDim;

  ExactPages(WorkspaceShape shape, Workspace.Worker scratch, CpuKernels kernels) {
    layout = shape.layout().staging();
    this.scratch = scratch;
    this.kernels = kernels;
    headDim = shape.headDim();
    if (layout.pageTokens() != TOKENS) {
      throw new IllegalStateException("exact pages of " + layout.pageTokens() + " tokens");
    }
  }

  /**
   * K of the page that begins at {@code position}, in panels [2][headDim][16]; the array is the
   * worker's and holds until the next call.
   */
  float[] keys(CpuCacheStore.Part part, int position) {
    part.readExact(position / TOKENS, 0, scratch.halves, 0, TOKENS * headDim);
    int rows = TOKENS / CpuKernels.LANES * headDim;
    kernels.widenPanels(
        scratch.halves, 0, rows, CpuKernels.LANES, scratch.pagePanels, 0, rows * CpuKernels.LANES);
    return scratch.pagePanels;
  }

  /** V likewise, in panels [ceil(headDim/16)][32][16]. */
  float[] values(CpuCacheStore.Part part, int position) {
    int at = layout.fp16ValueOffset();
    part.readExact(position / TOKENS, at, scratch.halves, 0, TOKENS * headDim);
    int panelStride = TOKENS * CpuKernels.LANES;
    kernels.widenPanels(scratch.halves, 0, TOKENS, headDim, scratch.pagePanels, 0, panelStride);
    return scratch.pagePanels;
  }
}
