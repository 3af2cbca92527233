package dev.bulkgen.engine;

import com.sun.management.HotSpotDiagnosticMXBean;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

/** How much memory this machine and this JVM can give outside the heap. */
public final class HostMemory {
  private static final Path MEMINFO = Path.of("/proc/meminfo");
  private static final String AVAILABLE = "MemAvailable:";

  private HostMemory() {}

  /** Free memory with what the system would drop from its caches, within a container's limit. */
  public static long freeBytes() {
    OperatingSystemMXBean system = ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
    long free = system.getFreeMemorySize();
    try {
      for (String line : Files.readAllLines(MEMINFO)) {
        if (line.startsWith(AVAILABLE)) {
          String kibibytes = line.substring(AVAILABLE.length()).replace("kB", "").trim();
          return Math.min(Long.parseLong(kibibytes) * 1024, system.getTotalMemorySize());
        }
      }
    } catch (IOException | NumberFormatException e) {
      return free;
    }
    return free;
  }

  /** {@code -XX:MaxDirectMemorySize}, which is the largest heap where it is not set. */
  public static long directLimit() {
    HotSpotDiagnosticMXBean virtualMachine =
        ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
    long limit = 0;
    if (virtualMachine != null) {
      limit = Long.parseLong(virtualMachine.getVMOption("MaxDirectMemorySize").getValue());
    }
    return limit > 0 ? limit : Runtime.getRuntime().maxMemory();
  }
}
