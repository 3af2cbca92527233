package dev.bulkgen.cache;

import dev.bulkgen.cache.MemoryDemand.WeightPlacement;
import dev.bulkgen.config.ByteSize;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.Arrays;
import java.util.Locale;

/**
 * How a budget is divided: fixed parts first, then window slots and pages. The engine takes exactly
 * this at start and nothing later (P3).
 *
 * @param slots window slots: most sequences in flight, at most the batch limit
 * @param pages in the pool, each of one layer
 */
public record MemoryPlan(CacheLayout layout, MemoryDemand demand, int slots, int pages) {
  private static final int[] SAMPLE_LENGTHS = {512, 2048, 8192, 32768, 131072};

  /**
   * Divides the budget. Slots get at most half of what is left for the cache, so that a batch limit
   * set high cannot starve the pages; neither is more than a full batch of longest sequences needs.
   *
   * @throws BulkgenException MEMORY_PLAN_REFUSED if not even one sequence of the longest length
   *     fits; the message names the budget that would do and the length that would fit
   */
  public static MemoryPlan of(CacheLayout layout, MemoryDemand demand) {
    long cacheBudget = demand.cacheBudget();
    long longest = layout.sequenceBytes(demand.maxModelLen());
    if (longest > cacheBudget) {
      throw refused(layout, demand);
    }
    long window = layout.windowBytes();
    long longestPages = pagesOf(layout, demand.maxModelLen());
    long slots = demand.maxBatch();
    if (window > 0) {
      long half = Math.max(1, cacheBudget / 2 / window);
      long besideLongest = (cacheBudget - longestPages * layout.pageBytes()) / window;
      slots = Math.min(slots, Math.min(half, besideLongest));
    }
    long affordable = (cacheBudget - slots * window) / layout.pageBytes();
    long pages = Math.min(affordable, Math.multiplyExact(slots, longestPages));
    return new MemoryPlan(layout, demand, (int) slots, (int) Math.min(pages, Integer.MAX_VALUE));
  }

  /** Pages, of all layers together, that a sequence of {@code length} tokens holds. */
  public static long pagesOf(CacheLayout layout, int length) {
    return (long) layout.layers() * layout.pagesPerLayer(length);
  }

  /** Bytes of all pages and window slots. */
  public long cacheBytes() {
    return (long) pages * layout.pageBytes() + slots * layout.windowBytes();
  }

  /** All that is taken from the budget, the reserve not counted. */
  public long takenBytes() {
    return demand.fixedBytes() - demand.reserve() + cacheBytes();
  }

  /** How many sequences of {@code length} tokens run at once. */
  public int sequences(int length) {
    long each = pagesOf(layout, length);
    return each == 0 ? slots : (int) Math.min(slots, pages / each);
  }

  /** How many sequences of {@code length} tokens the budget would hold at any batch limit. */
  public static long affordable(CacheLayout layout, MemoryDemand demand, int length) {
    long each = layout.sequenceBytes(length);
    return Math.max(0, demand.cacheBudget()) / Math.max(1, each);
  }

  /** Cache bytes per token once it has left the window, all layers. */
  public static double bytesPerToken(CacheLayout layout) {
    return (double) layout.layers() * layout.pageBytes() / layout.pageTokens();
  }

  /** The lengths that tables show: a few round ones below the longest, and the longest. */
  static int[] tableLengths(int maxModelLen) {
    int[] lengths = Arrays.stream(SAMPLE_LENGTHS).filter(n -> n < maxModelLen).toArray();
    int[] withLongest = Arrays.copyOf(lengths, lengths.length + 1);
    withLongest[lengths.length] = maxModelLen;
    return withLongest;
  }

  /** The plan as a table for people; the same text for the same plan. */
  public String render() {
    TextTable table = new TextTable("<", ">", "<");
    boolean mapped = demand.placement() == WeightPlacement.MAPPED;
    table.row("budget", ByteSize.format(demand.budget()), "");
    String place = mapped ? "mapped files, outside the budget" : "";
    table.row("weights", ByteSize.format(demand.weights()), place);
    String tokens = String.format(Locale.ROOT, "prompts up to %d tokens", demand.prefillTokens());
    table.row("workspace", ByteSize.format(demand.workspace()), tokens);
    table.row("logits", ByteSize.format(demand.logits()), "");
    table.row("reserve", ByteSize.format(demand.reserve()), "");
    table.row(
        "windows",
        ByteSize.format(slots * layout.windowBytes()),
        slots + " x " + ByteSize.format(layout.windowBytes()));
    table.row(
        "pages",
        ByteSize.format((long) pages * layout.pageBytes()),
        String.format(
            Locale.ROOT,
            "%d x %s (%d tokens of a layer)",
            pages,
            ByteSize.format(layout.pageBytes()),
            layout.pageTokens()));
    long left = demand.budget() - demand.reserve() - takenBytes();
    table.row("left over", ByteSize.format(left), "");
    table.row(
        "cache a token",
        ByteSize.format(Math.round(bytesPerToken(layout))),
        PolicyComparison.displayName(layout.policy()));
    for (int length : tableLengths(demand.maxModelLen())) {
      table.row(
          "at once", Integer.toString(sequences(length)), "sequences of " + length + " tokens");
    }
    return table.render();
  }

  private static BulkgenException refused(CacheLayout layout, MemoryDemand demand) {
    long needed = demand.fixedBytes() + layout.sequenceBytes(demand.maxModelLen());
    int fits = longestThatFits(layout, demand);
    String shorter = fits > 0 ? String.format(Locale.ROOT, ", or max-model-len to %d", fits) : "";
    return BulkgenException.of(
        ErrorCode.MEMORY_PLAN_REFUSED,
        "the memory budget is %s (%d bytes), but one sequence of %d tokens in %s needs %s beside %s"
            + " of %s: raise memory to %s (%d bytes)%s",
        ByteSize.format(demand.budget()),
        demand.budget(),
        demand.maxModelLen(),
        layout.policy().name(),
        ByteSize.format(layout.sequenceBytes(demand.maxModelLen())),
        ByteSize.format(demand.fixedBytes()),
        demand.placement() == WeightPlacement.MAPPED
            ? "workspace and logits"
            : "weights, workspace and logits",
        ByteSize.format(needed),
        needed,
        shorter);
  }

  /** The longest sequence the budget holds, in tokens; 0 if none. The workspace stays as it is. */
  static int longestThatFits(CacheLayout layout, MemoryDemand demand) {
    int low = 0;
    int high = demand.maxModelLen();
    while (low < high) {
      int middle = low + (high - low + 1) / 2;
      if (layout.sequenceBytes(middle) <= demand.cacheBudget()) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }
}
