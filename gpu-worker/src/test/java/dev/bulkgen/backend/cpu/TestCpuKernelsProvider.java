package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.tensor.DType;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What a JVM with and without the Vector API's module computes with, and says. */
class TestCpuKernelsProvider {
  @Test
  void vectorsAreTheFirstChoice() throws Exception {
    String output = probe("--add-modules=jdk.incubator.vector");
    assertTrue(output.contains("opened cpu (vector, "), output);
    assertFalse(output.contains("add it to the java options"), output);
  }

  @Test
  void withoutTheModulePlainLoopsComputeAndOneLineSaysSo() throws Exception {
    String output = probe();
    assertTrue(output.contains("opened cpu (scalar, 2 threads)"), output);
    assertEquals(2, output.split("--add-modules=jdk.incubator.vector; add it").length, output);
    assertTrue(output.contains("refused: vectorized arithmetic needs the module"), output);
  }

  private static String probe(String... options) throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of(options));
    command.add("-Dlog4j2.level=WARN");
    command.add("-cp");
    command.add(System.getProperty("java.class.path"));
    command.add(Probe.class.getName());
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertEquals(0, process.waitFor(), output);
    return output;
  }

  /** Runs in a JVM of its own. */
  static final class Probe {
    private Probe() {}

    public static void main(String[] arguments) {
      ModelWeights weights =
          RandomModels.make(
              new RandomModels.Form(
                  2, 2, 16, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, false, 0, DType.BF16),
              1);
      CacheLayout layout = CacheLayout.of(CachePolicy.FP16, weights.config());
      CacheCapacity capacity = new CacheCapacity(4, 1, 16);
      try (CpuBackend backend = CpuBackend.open(weights, layout, capacity, 2)) {
        System.out.println("opened " + backend.description());
      }
      try {
        CpuBackend.open(weights, layout, capacity, 2, Arithmetic.VECTOR).close();
      } catch (BulkgenException e) {
        System.out.println("refused: " + e.getMessage());
      }
    }
  }
}
