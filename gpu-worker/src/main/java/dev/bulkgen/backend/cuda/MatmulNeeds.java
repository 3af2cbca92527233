package dev.bulkgen.backend.cuda;

/**
 * Device memory that matrix products need beside their operands. Products of one stream share it.
 *
 * @param partialBytes of partial sums
 * @param arrivals ints that count blocks, 0 between products
 */
public record MatmulNeeds(long partialBytes, int arrivals) {
  public static final MatmulNeeds NONE = new MatmulNeeds(0, 0);

  /** What serves both. */
  public MatmulNeeds or(MatmulNeeds other) {
    return new MatmulNeeds(
        Math.max(partialBytes, other.partialBytes), Math.max(arrivals, other.arrivals));
  }

  /** All bytes together. */
  public long bytes() {
    return partialBytes + (long) Integer.BYTES * arrivals;
  }
}
