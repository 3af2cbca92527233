package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.SequenceCache;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** The mirror sends what the device lacks, and nothing twice. */
class TestPageTableMirror {
  private static final int SLOTS = 3;
  private static final int LAYERS = 2;
  private static final int MAX_PAGES = 5;

  @Test
  void theDevicesTableFollowsTheHosts() {
    PagePool pool = new PagePool(SLOTS * LAYERS * MAX_PAGES);
    PageTableMirror mirror = new PageTableMirror(SLOTS, LAYERS, MAX_PAGES);
    int[] device = new int[SLOTS * LAYERS * MAX_PAGES];
    SequenceCache[] caches = new SequenceCache[SLOTS];
    SplittableRandom random = new SplittableRandom(3);
    for (int step = 0; step < 200; step++) {
      int slot = random.nextInt(SLOTS);
      if (caches[slot] == null || caches[slot].pages().count(0) == MAX_PAGES) {
        if (caches[slot] != null) {
          pool.release(caches[slot].pages());
        }
        caches[slot] = new SequenceCache(slot, LAYERS);
      }
      pool.grow(caches[slot].pages(), caches[slot].pages().count(0) + 1);
      mirror.note(caches[slot], caches[slot].pages());
      mirror.note(caches[slot], caches[slot].pages());
      assertEquals(LAYERS, mirror.count());
      apply(mirror, device);
      for (SequenceCache cache : caches) {
        assertHas(cache, device);
      }
    }
  }

  private static void apply(PageTableMirror mirror, int[] device) {
    int[] indices = mirror.indices(0, mirror.count());
    int[] pages = mirror.pages(0, mirror.count());
    for (int i = 0; i < indices.length; i++) {
      device[indices[i]] = pages[i];
    }
    mirror.clear();
    assertArrayEquals(new int[0], mirror.indices(0, mirror.count()));
  }

  private static void assertHas(SequenceCache cache, int[] device) {
    for (int layer = 0; cache != null && layer < LAYERS; layer++) {
      for (int i = 0; i < cache.pages().count(layer); i++) {
        int index = (cache.slot() * LAYERS + layer) * MAX_PAGES + i;
        assertEquals(cache.pages().page(layer, i), device[index]);
      }
    }
  }
}
