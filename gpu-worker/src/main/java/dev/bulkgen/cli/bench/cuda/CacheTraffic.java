package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;

/**
 * The bytes that must go through a card's memory at the least, for sequences of one length in a
 * cache of one layer.
 *
 * @param context tokens of each, the one that attends included
 */
record CacheTraffic(CacheLayout layout, int sequences, int context) {
  private static final double HALF = 2;

  /** Read by a step that attends before it flushes. */
  double attendedBytes() {
    return bytes(context - 1, context);
  }

  /** Prompts of one token less: read in float16, written as the policy keeps them. */
  double storedBytes() {
    int length = context - 1;
    double read = 2 * HALF * sequences * length * layout.kvHeads() * layout.headDim();
    return read + bytes(length, length);
  }

  private double bytes(int flushed, int held) {
    double keys = keyBytes() * layout.keysInPages(flushed);
    double values = valueBytes() * layout.valuesInPages(flushed);
    int pagedKeys = layout.keysInPages(flushed);
    int pagedValues = layout.valuesInPages(flushed);
    double plain = 0;
    if (layout.policy() instanceof CachePolicy.Kivi) {
      plain = HALF * layout.headDim() * (2.0 * held - pagedKeys - pagedValues);
    } else {
      // An fp16 page takes a token at once, the new one too.
      keys = keyBytes() * held;
      values = valueBytes() * held;
    }
    return sequences * layout.kvHeads() * (keys + values + plain);
  }

  private double keyBytes() {
    if (layout.policy() instanceof CachePolicy.Kivi kivi) {
      double scales = 2 * HALF * layout.headDim() / kivi.group();
      return Integer.BYTES * layout.keyWords(kivi) + scales;
    }
    return HALF * layout.headDim();
  }

  private double valueBytes() {
    if (layout.policy() instanceof CachePolicy.Kivi kivi) {
      double codes = layout.headDim() * kivi.valueBits() / (double) Byte.SIZE;
      return codes + 2 * HALF * layout.valueGroups(kivi);
    }
    return HALF * layout.headDim();
  }
}
