package dev.bulkgen.cache;

/**
 * One sequence's share of the cache: its window slot, its pages, and how many tokens are cached.
 * Whoever runs a step advances the length after it.
 *
 * <p>While a prompt comes in parts, or is to be shared, its exact K and V are kept too: where the
 * policy keeps all tokens in float16 they lie in the pages themselves, else in staging pages of
 * {@link CacheLayout#staging()}. The token at position p is staged in page p / pageTokens of the
 * staging layout, if the staging table holds that page. A sequence that begins with a prefix which
 * another has prefilled starts with the prefix's length, its staging pages, and those of its pages
 * that are complete ({@link #sharedPages()}).
 */
public final class SequenceCache {
  private final int slot;
  private final PageTable pages;
  private final PageTable staging;
  private int sharedPages;
  private int length;

  public SequenceCache(int slot, int layers) {
    this.slot = slot;
    this.pages = new PageTable(layers);
    this.staging = new PageTable(layers);
  }

  /** The window slot, 0 to the batch limit − 1. */
  public int slot() {
    return slot;
  }

  public PageTable pages() {
    return pages;
  }

  /** Pages of the staging pool; none once the prompt is prefilled. */
  public PageTable staging() {
    return staging;
  }

  /**
   * How many pages of every layer, the first ones, another sequence has filled: the end of the
   * prompt does not write them again.
   */
  public int sharedPages() {
    return sharedPages;
  }

  /**
   * Begins with cached tokens that another sequence has prefilled.
   *
   * @param tokens a multiple of the staging layout's page
   * @param pages complete pages of every layer that hold no other tokens than these, and that the
   *     whole prompt of this sequence fills ({@link CacheLayout#completePages})
   */
  public void beginShared(int tokens, int pages) {
    length = tokens;
    sharedPages = pages;
  }

  /** Tokens cached before the coming step. */
  public int length() {
    return length;
  }

  public void advance(int tokens) {
    length += tokens;
  }
}
