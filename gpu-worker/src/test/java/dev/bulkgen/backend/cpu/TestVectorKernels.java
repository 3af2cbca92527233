package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** P1 on the CPU: vectors of any width give the bits of the plain loops. */
class TestVectorKernels {
  @ParameterizedTest
  @EnumSource(KernelCase.class)
  void equalsTheScalarTwin(KernelCase kernelCase) {
    KernelPair pair = new KernelPair(ThreadLocalRandom.current().nextLong());
    kernelCase.run(pair);
    assertTrue(pair.compared() > 0);
  }

  @ParameterizedTest
  @ValueSource(ints = {128, 256, 512})
  void equalsTheScalarTwinAtEveryWidth(int bits) throws Exception {
    // The width is a constant of the JVM, so that each one needs a JVM of its own.
    String classPath =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    Process process =
        new ProcessBuilder(
                List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                    "--add-modules=jdk.incubator.vector",
                    "-D" + VectorLanes.BITS_PROPERTY + "=" + bits,
                    "-cp",
                    classPath,
                    AllCases.class.getName(),
                    Long.toString(ThreadLocalRandom.current().nextLong())))
            .redirectErrorStream(true)
            .start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    assertTrue(output.contains("width " + bits / Float.SIZE + " compared "), output);
  }

  /** Runs every case in a JVM of its own. */
  static final class AllCases {
    private AllCases() {}

    public static void main(String[] arguments) {
      KernelPair pair = new KernelPair(Long.parseLong(arguments[0]));
      for (KernelCase kernelCase : KernelCase.values()) {
        kernelCase.run(pair);
      }
      System.out.println("width " + VectorLanes.WIDTH + " compared " + pair.compared());
    }
  }
}
