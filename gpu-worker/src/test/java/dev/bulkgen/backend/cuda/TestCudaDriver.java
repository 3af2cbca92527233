package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestCudaDriver {
  @TempDir private Path folder;

  /** Says on standard output what a process sees that has no stand-in. */
  static final class Probe {
    public static void main(String[] arguments) {
      Optional<CudaDriver.Unavailable> found = CudaDriver.probe();
      System.out.println(found.map(CudaDriver.Unavailable::reason).orElse("available"));
      System.out.println(CudaDriver.deviceCount());
      try {
        CudaContext.open(0).close();
      } catch (RuntimeException e) {
        System.out.println(e.getMessage());
      }
    }
  }

  @Test
  void testWithoutDriverThereIsAReason() throws Exception {
    assumeNoDriver();
    String reason = "no CUDA driver: libcuda.so.1 cannot be loaded; install NVIDIA's driver";
    assertEquals(List.of(reason, "0", reason + "; or use --backend cpu"), probe().lines().toList());
    assertEmpty();
  }

  @Test
  void testLibrariesThatOthersLeftAreNotLoaded() throws Exception {
    assumeNoDriver();
    Path planted = folder.resolve("libJCudaDriver-12.6.0-linux-x86_64.so");
    Files.writeString(planted, "not a library");
    String reason = "no CUDA driver: libcuda.so.1 cannot be loaded; install NVIDIA's driver";
    assertEquals(reason, probe().lines().findFirst().orElseThrow());
    Files.delete(planted);
    assertEmpty();
  }

  @Test
  void testOtherPlatformsAreNamed() throws Exception {
    String withoutLibraries =
        Stream.of(System.getProperty("java.class.path").split(File.pathSeparator))
            .filter(entry -> !entry.contains("jcuda-natives"))
            .collect(Collectors.joining(File.pathSeparator));
    String reason = probe(withoutLibraries).lines().findFirst().orElseThrow();
    assertEquals(
        "the CUDA binding has no library that loads on %s %s (error while loading native library"
            .formatted(System.getProperty("os.name"), System.getProperty("os.arch")),
        reason.substring(0, reason.indexOf(" \"")));
    assertEmpty();
  }

  private String probe() throws IOException, InterruptedException {
    return probe(System.getProperty("java.class.path"));
  }

  /** All that the process prints, errors included: it must not print anything of its own. */
  private String probe(String classPath) throws IOException, InterruptedException {
    Path java = Path.of(System.getProperty("java.home"), "bin", "java");
    Process process =
        new ProcessBuilder(
                java.toString(),
                // Newer JDKs warn of native libraries that nobody allowed; the launcher allows
                // them.
                "--enable-native-access=ALL-UNNAMED",
                "-Djava.io.tmpdir=" + folder,
                "-cp",
                classPath,
                Probe.class.getName())
            .redirectErrorStream(true)
            .start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), said);
    Assumptions.assumeFalse(said.startsWith("available"), "this machine has a CUDA driver");
    return said;
  }

  private void assertEmpty() throws IOException {
    try (Stream<Path> left = Files.list(folder)) {
      // The JVM's own folder of counters comes and goes with processes.
      assertEquals(List.of(), left.filter(file -> !file.toString().contains("hsperf")).toList());
    }
  }

  private static void assumeNoDriver() {
    Assumptions.assumeTrue(
        System.getProperty("os.name").startsWith("Linux"), "libraries differ outside of Linux");
    Assumptions.assumeFalse(
        Files.exists(Path.of("/proc/driver/nvidia/version")), "this machine has a CUDA driver");
  }
}
