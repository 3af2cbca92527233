package dev.bulkgen.schedule;

import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.cache.PagePool;

/**
 * The pages that a scheduler hands out.
 *
 * @param pages of the cache
 * @param staging of float16 K and V of prompts
 * @param swap of the host's swap area
 */
public record SchedulerPools(PagePool pages, PagePool staging, PagePool swap) {

  public static SchedulerPools of(MemoryPlan plan) {
    return new SchedulerPools(
        new PagePool(plan.pages()),
        new PagePool(plan.stagingPages()),
        new PagePool(plan.swapPages()));
  }

  /** Pages of the cache that are held. */
  public int usedPages() {
    return pages.total() - pages.available();
  }

  /** Staging pages that are held. */
  public int usedStaging() {
    return staging.total() - staging.available();
  }
}
