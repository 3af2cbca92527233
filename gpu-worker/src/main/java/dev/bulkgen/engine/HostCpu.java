package dev.bulkgen.engine;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;
import java.util.Optional;

/** What this machine's processor, as the JVM sees it, lacks. */
public final class HostCpu {
  private static final String USES_FMA = "UseFMA";

  private HostCpu() {}

  /** A sentence for the log where every text would come far too slowly; empty where all is well. */
  public static Optional<String> warning() {
    return warning(usesFma());
  }

  /**
   * @param usesFma whether the JVM has instructions for fused multiply-adds; empty if unknown
   */
  static Optional<String> warning(Optional<Boolean> usesFma) {
    return usesFma.orElse(true)
        ? Optional.empty()
        : Optional.of(
            "this JVM has no fused multiply-add and computes each one with BigDecimal, a hundred"
                + " times slower: run on a processor with FMA (x86-64 since 2013, every ARM64), let"
                + " a virtual machine's guest see the host's, and drop -XX:-UseFMA if it is set");
  }

  /** HotSpot clears the option at start where the processor has no such instruction. */
  private static Optional<Boolean> usesFma() {
    HotSpotDiagnosticMXBean virtualMachine =
        ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
    try {
      return virtualMachine == null
          ? Optional.empty()
          : Optional.of(Boolean.valueOf(virtualMachine.getVMOption(USES_FMA).getValue()));
    } catch (IllegalArgumentException e) {
      return Optional.empty(); // a JVM without such an option
    }
  }
}
