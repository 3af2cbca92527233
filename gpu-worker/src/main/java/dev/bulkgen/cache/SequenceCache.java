package dev.bulkgen.cache;

/**
 * One sequence's share of the cache: its window slot, its pages, and how many tokens are cached.
 * Whoever runs a step advances the length after it.
 */
public final class SequenceCache {
  private final int slot;
  private final PageTable pages;
  private int length;

  public SequenceCache(int slot, int layers) {
    this.slot = slot;
    this.pages = new PageTable(layers);
  }

  /** The window slot, 0 to the batch limit − 1. */
  public int slot() {
    return slot;
  }

  public PageTable pages() {
    return pages;
  }

  /** Tokens cached before the coming step. */
  public int length() {
    return length;
  }

  public void advance(int tokens) {
    length += tokens;
  }
}
