package dev.bulkgen.backend.cuda;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;

/**
 * Where a cache lies on the device, as kernels are told: the struct CacheView of the catalogue.
 *
 * @param pages address of [pages][kvHeads][{@link CacheLayout#pageHeadBytes}]
 * @param windows address of [slots][layers][kvHeads][{@link CacheLayout#windowHeadBytes}]; 0 where
 *     the policy has none
 * @param pageTable address of [slots][layers][maxPages] ints
 */
public record CudaCacheView(
    CacheLayout layout, long pages, long windows, long pageTable, int maxPages) {
  private static final int HALF_BITS = 16;

  /** Sets all fields of {@code arguments} below {@code cache} to this cache's layer. */
  void fill(KernelArguments arguments, int layer) {
    arguments
        .setAddress("cache.pages", pages)
        .setAddress("cache.windows", windows)
        .setAddress("cache.pageTable", pageTable)
        .set("cache.layer", layer)
        .set("cache.layers", layout.layers())
        .set("cache.maxPages", maxPages)
        .set("cache.kvHeads", layout.kvHeads())
        .set("cache.headDim", layout.headDim())
        .set("cache.pageTokens", layout.pageTokens())
        .set("cache.pageHeadBytes", layout.pageHeadBytes())
        .set("cache.windowHeadBytes", layout.windowHeadBytes());
    if (layout.policy() instanceof CachePolicy.Kivi kivi) {
      fillQuantized(arguments, kivi);
    } else {
      fillPlain(arguments);
    }
  }

  private void fillQuantized(KernelArguments arguments, CachePolicy.Kivi kivi) {
    arguments
        .set("cache.keyBits", kivi.keyBits())
        .set("cache.valueBits", kivi.valueBits())
        .set("cache.group", kivi.group())
        .set("cache.window", kivi.window())
        .set("cache.sink", kivi.sink())
        .set("cache.keyScaleOffset", layout.keyScaleOffset(kivi))
        .set("cache.keyZeroOffset", layout.keyZeroOffset(kivi))
        .set("cache.valueCodeOffset", layout.valueCodeOffset(kivi))
        .set("cache.valueScaleOffset", layout.valueScaleOffset(kivi))
        .set("cache.valueZeroOffset", layout.valueZeroOffset(kivi))
        .set("cache.fp16ValueOffset", 0)
        .set("cache.sinkValueOffset", layout.sinkValueOffset(kivi))
        .set("cache.windowKeyOffset", layout.windowKeyOffset(kivi))
        .set("cache.windowValueOffset", layout.windowValueOffset(kivi));
  }

  private void fillPlain(KernelArguments arguments) {
    arguments
        .set("cache.keyBits", HALF_BITS)
        .set("cache.valueBits", HALF_BITS)
        .set("cache.group", 0)
        .set("cache.window", 0)
        .set("cache.sink", 0)
        .set("cache.keyScaleOffset", 0)
        .set("cache.keyZeroOffset", 0)
        .set("cache.valueCodeOffset", 0)
        .set("cache.valueScaleOffset", 0)
        .set("cache.valueZeroOffset", 0)
        .set("cache.fp16ValueOffset", layout.fp16ValueOffset())
        .set("cache.sinkValueOffset", 0)
        .set("cache.windowKeyOffset", 0)
        .set("cache.windowValueOffset", 0);
  }
}
