package dev.bulkgen.backend.cuda;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;

/**
 * Launches what keeps K and V: prompts, and after each decode step what it pushed out of the
 * windows. The bytes are those of the CPU backend.
 */
public final class CacheKernels {
  private static final int SCALE_BYTES = 8;
  static final int CHANNELS = 8;
  static final int MOST_HEAD_DIM = 256;

  private final CacheLayout layout;
  private final Kernel storeKernel;
  private final Kernel stageKernel;
  private final Kernel flushKernel;
  private final KernelArguments storeArguments;
  private final KernelArguments stageArguments;
  private final KernelArguments flushArguments;
  private final int sharedBytes;

  /**
   * How much of a step's prompts is kept.
   *
   * @param sequences how many
   * @param longest tokens of the longest
   * @param stored address of [sequences] int: the prompt's length, 0 where it is not kept yet
   * @param sharedPages address of [sequences] int: pages, the first ones, that stay as they are
   */
  public record Stored(int sequences, int longest, long stored, long sharedPages) {}

  /**
   * Which of a step's tokens go into staging pages.
   *
   * @param longest tokens of the longest part
   * @param staged address of [sequences] int: the tokens that a sequence has staging pages for
   */
  public record Staged(int sequences, int longest, long staged) {}

  /**
   * @throws BulkgenException INTERNAL if the kernels do not take the heads
   */
  public CacheKernels(KernelLibrary kernels, CacheLayout layout) {
    requireHeads(layout);
    this.layout = layout;
    storeKernel = kernels.kernel("store_prompt");
    stageKernel = kernels.kernel("stage_prompt");
    flushKernel = kernels.kernel("flush_window");
    storeArguments = storeKernel.arguments();
    stageArguments =
        stageKernel.arguments().set("kvHeads", layout.kvHeads()).set("headDim", layout.headDim());
    flushArguments = flushKernel.arguments();
    sharedBytes = layout.policy() instanceof CachePolicy.Kivi kivi ? scaleBytes(kivi) : 0;
  }

  /** Whether the kernels take its heads: 16 bytes are 8 channels. */
  static boolean takes(CacheLayout layout) {
    return layout.headDim() % CHANNELS == 0 && layout.headDim() <= MOST_HEAD_DIM;
  }

  static void requireHeads(CacheLayout layout) {
    if (!takes(layout)) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "heads of %d: the cache's kernels take multiples of %d up to %d",
          layout.headDim(),
          CHANNELS,
          MOST_HEAD_DIM);
    }
  }

  // Of a group of keys or of a page's values, which take turns.
  private int scaleBytes(CachePolicy.Kivi kivi) {
    int values = layout.valueGroups(kivi) * layout.pageTokens();
    return SCALE_BYTES * Math.max(layout.headDim(), values);
  }

  /**
   * Keeps prompts, whole or their ends; their pages are in the page tables. Exact caches keep what
   * the step has added.
   */
  public void storePrompts(
      CudaStream stream, CudaCacheView cache, int layer, PromptView prompts, Stored stored) {
    if (stored.longest == 0) {
      return;
    }
    cache.fill(storeArguments, layer);
    prompts.fill(storeArguments, layer);
    storeArguments
        .setAddress("stored", stored.stored)
        .setAddress("sharedPages", stored.sharedPages);
    int pages = (stored.longest + layout.pageTokens() - 1) / layout.pageTokens();
    Grid grid = Grid.of(pages, layout.kvHeads(), stored.sequences);
    storeKernel.launch(stream, grid, sharedBytes, storeArguments);
  }

  /** Puts what a step adds to prompts into staging pages, which {@code prompts} has as kept. */
  public void stagePrompts(CudaStream stream, int layer, PromptView prompts, Staged staged) {
    prompts.fill(stageArguments, layer);
    stageArguments.setAddress("staged", staged.staged);
    int pageTokens = layout.staging().pageTokens();
    // A part that begins within a page touches one more.
    int pages = (staged.longest + 2 * pageTokens - 2) / pageTokens;
    Grid grid = Grid.of(pages, layout.kvHeads(), staged.sequences);
    stageKernel.launch(stream, grid, 0, stageArguments);
  }

  /** Whether {@link #flush} ever has anything to do. */
  public boolean flushes() {
    return layout.policy() instanceof CachePolicy.Kivi;
  }

  /**
   * Quantizes what the tokens at {@code positions} push out, once they have attended.
   *
   * @param rows how many
   * @param positions address of [rows] int, −1: no row
   * @param slots address of [rows] int
   */
  public void flush(
      CudaStream stream, CudaCacheView cache, int layer, int rows, long positions, long slots) {
    cache.fill(flushArguments, layer);
    flushArguments.setAddress("positions", positions).setAddress("slots", slots);
    flushKernel.launch(stream, Grid.of(rows, layout.kvHeads()), sharedBytes, flushArguments);
  }
}
