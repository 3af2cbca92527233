package dev.bulkgen.cli;

import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.config.ByteSize;
import dev.bulkgen.engine.HostCpu;
import dev.bulkgen.engine.HostMemory;
import dev.bulkgen.error.BulkgenException;

/** The JVM, the processor and the memory, as this process sees them. */
final class HostExamination {
  private static final String VECTOR_MODULE = "jdk.incubator.vector";
  private static final String NARROW = "128 bit";

  private HostExamination() {}

  static void examine(Findings findings) {
    findings.found(
        "Java",
        "%s (%s), %s %s",
        System.getProperty("java.version"),
        System.getProperty("java.vendor"),
        System.getProperty("os.name"),
        System.getProperty("os.arch"));
    findings.found("cores", "%d", Runtime.getRuntime().availableProcessors());
    examineArithmetic(findings);
    examineMemory(findings);
  }

  private static void examineArithmetic(Findings findings) {
    if (ModuleLayer.boot().findModule(VECTOR_MODULE).isEmpty()) {
      findings.found("arithmetic", "plain loops: the module %s is not readable", VECTOR_MODULE);
      findings.advise(
          "start Java with --add-modules=%s: the CPU computes several times faster", VECTOR_MODULE);
    } else {
      examineVectors(findings);
    }
    HostCpu.warning().ifPresent(warning -> findings.advise("%s", warning));
  }

  private static void examineVectors(Findings findings) {
    try {
      String arithmetic = CpuBackend.arithmetic();
      findings.found("arithmetic", "%s", arithmetic);
      if (arithmetic.contains(NARROW)) {
        findings.advise("a processor with AVX2 or AVX-512 computes two to four times faster");
      }
    } catch (BulkgenException e) {
      findings.found("arithmetic", "plain loops: %s", e.getMessage());
      findings.advise("remove what stops the vectorized arithmetic: %s", e.getMessage());
    }
  }

  private static void examineMemory(Findings findings) {
    long heap = Runtime.getRuntime().maxMemory();
    long direct = HostMemory.directLimit();
    long free = HostMemory.freeBytes();
    findings.found(
        "memory",
        "%s free, heap up to %s, outside the heap up to %s",
        ByteSize.format(free),
        ByteSize.format(heap),
        ByteSize.format(direct));
    if (direct < free / 2) {
      findings.advise(
          "start Java with -XX:MaxDirectMemorySize=%dm: more of the free memory for the cache",
          free / 4 * 3 >> 20);
    }
  }
}
