package dev.bulkgen.schedule;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Fixtures;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A 7B model on 80 GB under real lengths keeps its pages in use. */
class TestSimulation {
  @ParameterizedTest
  @CsvSource({
    "fp16, 8GiB, 1024, 2000",
    "fp16, 0, 1024, 2000",
    "fp16, 0, 4096, 2000",
    "kivi4, 8GiB, 1024, 3000",
    "kivi2, 8GiB, 1024, 4000",
    "kivi2, 0, 4096, 4000",
    "minikv, 8GiB, 1024, 5000"
  })
  void testPagesAreInUse(String policy, String swap, int maxTokens, int requests)
      throws IOException, URISyntaxException {
    LengthTrace trace =
        LengthTrace.read(Fixtures.path("traces/AzureLLMInferenceTrace_conv.csv"))
            .repeated(requests, 1);
    Simulate simulate = new Simulate();
    simulate.model =
        Path.of(TestSimulation.class.getResource("/simulator/llama-2-7b-16k.json").toURI());
    simulate.swap = swap;
    simulate.maxTokens = maxTokens;
    Simulation.Summary summary = simulate.simulate(policy, trace);
    assertEquals(requests, summary.ended());
    assertEquals(Arrays.stream(trace.prompts()).asLongStream().sum(), summary.promptTokens());
    assertTrue(summary.occupancy() >= 0.95, summary.toString());
    assertTrue(summary.swapShare() < 0.02, summary.toString());
  }
}
