package dev.bulkgen.backend.cpu;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;

/**
 * Arrays whose element {@link #FIRST} begins a line of the caches: a vector of 512 bits anywhere
 * else lies in two lines and takes two loads, which costs a product up to 40 % of its speed. The
 * JVM has no way to ask for it, but G1 puts an array of half a region or more at the start of a
 * region and leaves it there. Under other collectors the place is arbitrary; only speed depends on
 * it.
 */
final class LineAligned {
  private static final int LINE_BYTES = 64;
  private static final int HEADER_BYTES = 16;

  /** Index of the first element to use. */
  static final int FIRST = (LINE_BYTES - HEADER_BYTES) / Float.BYTES;

  // Regions have more than 16 MB only in heaps of 64 GB and more.
  private static final long MOST_BYTES = 8 << 20;
  private static final int LEAST_FLOATS = leastFloats();

  private LineAligned() {}

  /** An array of at least {@code FIRST + count} elements. */
  static float[] floats(int count) {
    return new float[Math.max(FIRST + count, LEAST_FLOATS)];
  }

  private static int leastFloats() {
    HotSpotDiagnosticMXBean machine =
        ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
    if (machine == null) {
      return 0;
    }
    try {
      long region = Long.parseLong(machine.getVMOption("G1HeapRegionSize").getValue());
      return (int) (Math.min(region / 2, MOST_BYTES) / Float.BYTES);
    } catch (IllegalArgumentException e) {
      return 0; // another JVM, or another collector
    }
  }
}
