package dev.bulkgen.backend.cuda;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;

/**
 * Launches what keeps K and V: whole prompts, and after each decode step what it pushed out of the
 * windows. The bytes are those of the CPU backend.
 */
public final class CacheKernels {
  private static final int SCALE_BYTES = 8;
  static final int CHANNELS = 8;
  static final int MOST_HEAD_DIM = 256;

  private final CacheLayout layout;
  private final Kernel storeKernel;
  private final Kernel flushKernel;
  private final KernelArguments storeArguments;
  private final KernelArguments flushArguments;
  private final int sharedBytes;

  /**
   * Prompts of one layer, by address.
   *
   * @param sequences how many
   * @param longest tokens of the longest
   * @param keys [rows][kvHeads][headDim] float16
   * @param values likewise
   * @param firstRow [sequences] int
   * @param length [sequences] int
   * @param slots [sequences] int
   */
  public record Prompts(
      int sequences, int longest, long keys, long values, long firstRow, long length, long slots) {}

  /**
   * @throws BulkgenException INTERNAL if the kernels do not take the heads
   */
  public CacheKernels(KernelLibrary kernels, CacheLayout layout) {
    requireHeads(layout);
    this.layout = layout;
    storeKernel = kernels.kernel("store_prompt");
    flushKernel = kernels.kernel("flush_window");
    storeArguments = storeKernel.arguments();
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

  /** Keeps whole prompts; their pages are in the page tables. */
  public void storePrompts(CudaStream stream, CudaCacheView cache, int layer, Prompts prompts) {
    cache.fill(storeArguments, layer);
    storeArguments
        .setAddress("keys", prompts.keys)
        .setAddress("values", prompts.values)
        .setAddress("firstRow", prompts.firstRow)
        .setAddress("length", prompts.length)
        .setAddress("slots", prompts.slots);
    int pages = (prompts.longest + layout.pageTokens() - 1) / layout.pageTokens();
    Grid grid = Grid.of(pages, layout.kvHeads(), prompts.sequences);
    storeKernel.launch(stream, grid, sharedBytes, storeArguments);
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
