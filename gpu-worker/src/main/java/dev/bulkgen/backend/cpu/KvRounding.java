package dev.bulkgen.backend.cpu;

/** What becomes of K and V before a prompt attends to them. */
enum KvRounding {
  /** Rounded, so that an own prompt and a cached one give the same bits (P1). */
  FLOAT16,
  /**
   * Left in float32. Only a comparison with a reference that has a float32 cache wants this: the
   * rounding hides errors a hundred times smaller than its own effect.
   */
  NONE
}
