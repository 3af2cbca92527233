package dev.bulkgen.schedule;

import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.SequenceCache;
import java.util.BitSet;

/** Where sequences keep their caches, the device or the host's swap area: slots and pages. */
final class CachePlaces {
  private final PagePool pool;
  private final int slots;
  private final int layers;
  private final BitSet used = new BitSet();

  CachePlaces(PagePool pool, int slots, int layers) {
    this.pool = pool;
    this.slots = slots;
    this.layers = layers;
  }

  /** A slot, for a cache that has no pages yet. */
  SequenceCache take() {
    int slot = used.nextClearBit(0);
    used.set(slot);
    return new SequenceCache(slot, layers);
  }

  boolean hasPlaceFor(SequenceCache like) {
    return used.cardinality() < slots && like.pages().count(0) * layers <= pool.available();
  }

  /** A slot and as many pages as {@code like} has, for a copy of it. */
  SequenceCache takeFor(SequenceCache like) {
    SequenceCache cache = take();
    pool.grow(cache.pages(), like.pages().count(0));
    cache.advance(like.length());
    return cache;
  }

  /** Gives up a cache that is copied elsewhere, in the order of the steps. */
  void leaveAfterCopy(SequenceCache cache) {
    pool.releaseAfterCopy(cache.pages());
    used.clear(cache.slot());
  }

  void leave(SequenceCache cache) {
    pool.release(cache.pages());
    used.clear(cache.slot());
  }
}
