package dev.bulkgen.cache;

import dev.bulkgen.cache.MemoryDemand.WeightPlacement;
import dev.bulkgen.config.ByteSize;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.IntPredicate;

/**
 * How a budget is divided: fixed parts first, then window slots and pages. The engine takes exactly
 * this at start and nothing later (P3).
 *
 * @param slots window slots: most sequences in flight, at most the batch limit
 * @param pages in the pool, each of one layer
 * @param stagingPages for float16 K and V of prompts in parts, and of beginnings that prompts share
 * @param swapPages of the host's swap area
 * @param swapSlots most sequences in the swap area
 */
public record MemoryPlan(
    CacheLayout layout,
    MemoryDemand demand,
    int slots,
    int pages,
    int stagingPages,
    int swapPages,
    int swapSlots) {
  /** A prompt of one token, and one token for it. */
  private static final int LEAST_MODEL_LEN = 2;

  /** Longest prompts whose float16 K and V are kept at the most, to share them. */
  private static final int STAGED_PROMPTS = 4;

  /** The part of the cache's budget that sharing may take. */
  private static final int STAGING_SHARE = 16;

  /** The part of what a full batch would take that sharing may take beside it. */
  private static final int STAGING_OF_CACHE = 4;

  private static final int[] SAMPLE_LENGTHS = {512, 2048, 8192, 32768, 131072};

  /** What a plan would start from: workspaces shrink with the longest sequence and the batch. */
  public interface Demands {
    MemoryDemand of(int maxModelLen, int maxBatch);
  }

  /** Whether something fits at a longest sequence and a batch. */
  public interface Limits {
    boolean test(int maxModelLen, int maxBatch);
  }

  /**
   * Divides the budget. Slots get at most half of what is left for the cache, so that a batch limit
   * set high cannot starve the pages, or more where that many longest sequences fit; neither is
   * more than a full batch of longest sequences needs.
   *
   * @param maxModelLen longest sequence, prompt and output, in tokens
   * @param maxBatch most sequences in flight
   * @throws BulkgenException MEMORY_PLAN_REFUSED if not even one sequence of the longest length
   *     fits; the message names the budget that would do, and the length and the batch that would
   *     fit
   */
  public static MemoryPlan of(CacheLayout layout, int maxModelLen, int maxBatch, Demands demands) {
    MemoryDemand demand = demands.of(maxModelLen, maxBatch);
    long cacheBudget = demand.cacheBudget();
    if (!fits(layout, demand)) {
      throw refused(
          layout,
          demand,
          smaller(
              maxModelLen, maxBatch, (length, batch) -> fits(layout, demands.of(length, batch))));
    }
    long longestPages = pagesOf(layout, demand.maxModelLen());
    int stagingPages = stagingPages(layout, demand);
    cacheBudget -= stagingPages * (long) layout.staging().pageBytes();
    long slots = slots(layout, demand, cacheBudget, longestPages);
    long affordable = (cacheBudget - slots * layout.windowBytes()) / layout.pageBytes();
    long pages = Math.min(affordable, Math.multiplyExact(slots, longestPages));
    long swapSlots = swapSlots(layout, demand, slots);
    long swapped = (demand.swap() - swapSlots * layout.windowBytes()) / layout.pageBytes();
    long swapPages = swapSlots == 0 ? 0 : Math.min(swapped, swapSlots * longestPages);
    return new MemoryPlan(
        layout,
        demand,
        (int) slots,
        (int) Math.min(pages, Integer.MAX_VALUE),
        stagingPages,
        (int) Math.min(swapPages, Integer.MAX_VALUE),
        (int) swapSlots);
  }

  private static long slots(
      CacheLayout layout, MemoryDemand demand, long cacheBudget, long longestPages) {
    long window = layout.windowBytes();
    if (window == 0) {
      return demand.maxBatch();
    }
    long half = cacheBudget / 2 / window;
    long longest = cacheBudget / layout.sequenceBytes(demand.maxModelLen());
    long besideLongest = (cacheBudget - longestPages * layout.pageBytes()) / window;
    return Math.min(demand.maxBatch(), Math.min(Math.max(half, longest), besideLongest));
  }

  /** Windows get at most half of the swap area too; an area that holds no longest one is none. */
  private static long swapSlots(CacheLayout layout, MemoryDemand demand, long slots) {
    if (demand.swap() < layout.sequenceBytes(demand.maxModelLen())) {
      return 0;
    }
    long window = layout.windowBytes();
    return window == 0 ? slots : Math.min(slots, Math.max(1, demand.swap() / 2 / window));
  }

  /** Pages of all layers that a longest prompt takes while it is staged; 0 for an exact policy. */
  private static long longestStaging(CacheLayout layout, int maxModelLen) {
    return layout.isExact() ? 0 : pagesOf(layout.staging(), maxModelLen);
  }

  /** Staging pages that a longest prompt needs if it comes in parts. */
  private static long leastStaging(CacheLayout layout, MemoryDemand demand) {
    return mostStaging(layout, demand.maxModelLen(), demand.prefillTokens(), PrefixSharing.OFF);
  }

  /**
   * The most staging pages that a plan takes: enough for a few longest beginnings, where prompts
   * may share them. Workspaces are sized before it is known how many the budget affords.
   */
  public static long mostStaging(
      CacheLayout layout, int maxModelLen, int prefillTokens, PrefixSharing sharing) {
    long longest = longestStaging(layout, maxModelLen);
    if (sharing == PrefixSharing.AUTO) {
      return STAGED_PROMPTS * longest;
    }
    return maxModelLen > prefillTokens ? longest : 0;
  }

  /** The need comes first; for sharing, a share of the cache's budget is set aside at the most. */
  private static int stagingPages(CacheLayout layout, MemoryDemand demand) {
    long pageBytes = layout.staging().pageBytes();
    long spare = demand.cacheBudget() - layout.sequenceBytes(demand.maxModelLen());
    long full = demand.maxBatch() * layout.sequenceBytes(demand.maxModelLen());
    long share =
        Math.min(Math.min(demand.cacheBudget() / STAGING_SHARE, full / STAGING_OF_CACHE), spare)
            / pageBytes;
    long most = mostStaging(layout, demand.maxModelLen(), demand.prefillTokens(), demand.sharing());
    long wish = Math.max(leastStaging(layout, demand), Math.min(most, share));
    return (int) Math.min(Integer.MAX_VALUE, wish);
  }

  /** Pages, of all layers together, that a sequence of {@code length} tokens holds. */
  public static long pagesOf(CacheLayout layout, int length) {
    return (long) layout.layers() * layout.pagesPerLayer(length);
  }

  /** Bytes of all pages, window slots and staging pages. */
  public long cacheBytes() {
    return (long) pages * layout.pageBytes() + slots * layout.windowBytes() + stagingBytes();
  }

  private long stagingBytes() {
    return (long) stagingPages * layout.staging().pageBytes();
  }

  /** Bytes of host memory for sequences that are swapped out. */
  public long swapBytes() {
    return (long) swapPages * layout.pageBytes() + swapSlots * layout.windowBytes();
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
    long staging = stagingPages(layout, demand) * (long) layout.staging().pageBytes();
    long each = layout.sequenceBytes(length);
    return Math.max(0, demand.cacheBudget() - staging) / Math.max(1, each);
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
    if (stagingPages > 0) {
      table.row("staging", ByteSize.format(stagingBytes()), "prompts in parts, shared beginnings");
    }
    if (swapSlots > 0) {
      String most = String.format(Locale.ROOT, "host memory, for %d sequences", swapSlots);
      table.row("swap", ByteSize.format(swapBytes()), most);
    }
    table.row("left over", ByteSize.format(leftOver()), "");
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

  private long leftOver() {
    return demand.budget() - demand.reserve() - takenBytes();
  }

  /** A line of {@link PolicyComparison#renderParts}. */
  String[] cells(String name) {
    boolean mapped = demand.placement() == WeightPlacement.MAPPED;
    return new String[] {
      name,
      mapped ? "mapped" : ByteSize.format(demand.weights()),
      ByteSize.format(demand.workspace()),
      ByteSize.format(demand.logits()),
      ByteSize.format(demand.reserve()),
      ByteSize.format(slots * layout.windowBytes()),
      ByteSize.format((long) pages * layout.pageBytes()),
      ByteSize.format(stagingBytes()),
      ByteSize.format(leftOver()),
      ByteSize.format(swapBytes()),
      Integer.toString(sequences(demand.maxModelLen()))
    };
  }

  private static boolean fits(CacheLayout layout, MemoryDemand demand) {
    return leastBytes(layout, demand) <= demand.cacheBudget();
  }

  /** Bytes that one longest sequence takes, from the first part of its prompt on. */
  public static long leastBytes(CacheLayout layout, MemoryDemand demand) {
    long staging = leastStaging(layout, demand) * layout.staging().pageBytes();
    return layout.sequenceBytes(demand.maxModelLen()) + staging;
  }

  private static BulkgenException refused(
      CacheLayout layout, MemoryDemand demand, Optional<String> smaller) {
    long needed = demand.fixedBytes() + leastBytes(layout, demand);
    return BulkgenException.of(
        ErrorCode.MEMORY_PLAN_REFUSED,
        "the memory budget is %s (%d bytes), but one sequence of %d tokens in %s needs %s beside %s"
            + " of %s: raise memory to %s (%d bytes)%s",
        ByteSize.format(demand.budget()),
        demand.budget(),
        demand.maxModelLen(),
        layout.policy().name(),
        ByteSize.format(leastBytes(layout, demand)),
        ByteSize.format(demand.fixedBytes()),
        demand.placement() == WeightPlacement.MAPPED
            ? "workspace and logits"
            : "weights, workspace and logits",
        ByteSize.format(needed),
        needed,
        smaller.map(settings -> ", or lower " + settings).orElse(""));
  }

  /**
   * Settings that pass where {@code maxModelLen} and {@code maxBatch} do not, in words such as
   * {@code max-model-len to 512, or max-batch to 8}; empty if no length of a prompt and a token
   * passes at any batch.
   */
  public static Optional<String> smaller(int maxModelLen, int maxBatch, Limits passes) {
    List<String> ways = new ArrayList<>();
    int length = largest(maxModelLen, candidate -> passes.test(candidate, maxBatch));
    if (length >= LEAST_MODEL_LEN) {
      ways.add("max-model-len to " + length);
    }
    int batch = largest(maxBatch, candidate -> passes.test(maxModelLen, candidate));
    if (batch > 0) {
      ways.add("max-batch to " + batch);
    }
    if (ways.isEmpty()) {
      int alone = largest(maxModelLen, candidate -> passes.test(candidate, 1));
      if (alone >= LEAST_MODEL_LEN) {
        ways.add("max-batch to 1 and max-model-len to " + alone);
      }
    }
    return ways.isEmpty() ? Optional.empty() : Optional.of(String.join(", or ", ways));
  }

  /** The largest of 1 to {@code high} that passes, where all below it do; 0 if none does. */
  public static int largest(int high, IntPredicate passes) {
    int low = 0;
    while (low < high) {
      int middle = low + (high - low + 1) / 2;
      if (passes.test(middle)) {
        low = middle;
      } else {
        high = middle - 1;
      }
    }
    return low;
  }
}
