package dev.bulkgen.engine;

import static dev.bulkgen.engine.EngineFixture.greedy;
import static dev.bulkgen.engine.EngineFixture.on;
import static dev.bulkgen.engine.EngineFixture.recall;
import static dev.bulkgen.engine.EngineFixture.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.cuda.EmulatedDevice;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.DtypeChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The engine on a device: the same rows as on the CPU, whatever the batch. */
class TestCudaEngine {
  private static final List<String> PROMPTS =
      List.of(
          "rita 13 . sun alan 32 . milo 45 . alan",
          "ada 21 . bao 66 . xena 27 . hugo 72 . bao",
          "a cat",
          "omar 32 . ida 80 . mia 38 . omar 32 . ida");

  @BeforeEach
  void needsADevice() {
    EmulatedDevice.assumePresent();
  }

  @Test
  void testTheCpusTokens() {
    EngineConfig config = EngineFixture.withMaxModelLen(recall("kivi2", 4), 256);
    List<String> expected = texts(config, greedy(12));
    assertEquals(expected, texts(on(BackendChoice.CUDA, DtypeChoice.FLOAT32, config), greedy(12)));
  }

  @ParameterizedTest
  @EnumSource(DtypeChoice.class)
  void testTheSameRowsInEveryBatch(DtypeChoice dtype) {
    SamplingParamsBuilder sampled =
        new SamplingParamsBuilder()
            .temperature(1)
            .topP(0.95)
            .repetitionPenalty(1.1)
            .maxTokens(12)
            .ignoreEos(true);
    List<String> alone = texts(batch(1, dtype), sampled);
    assertEquals(alone, texts(batch(3, dtype), sampled));
    assertEquals(alone, texts(batch(4, dtype), sampled));
  }

  private static EngineConfig batch(int size, DtypeChoice dtype) {
    return on(BackendChoice.CUDA, dtype, EngineFixture.withMaxModelLen(recall("kivi2", size), 256));
  }

  @Test
  void testABudgetIsHeld() {
    EngineConfig small = EngineFixture.withMemory(batch(4, DtypeChoice.AUTO), 3 << 20);
    BulkgenException refused = assertThrows(BulkgenException.class, () -> Engine.open(small));
    assertEquals(ErrorCode.MEMORY_PLAN_REFUSED, refused.code());
    EngineConfig fits = batch(4, DtypeChoice.AUTO);
    try (Engine engine = Engine.open(fits)) {
      assertTrue(engine.backendDescription().startsWith("cuda ("), engine.backendDescription());
      assertTrue(engine.memoryPlan().takenBytes() <= fits.memoryBytes().getAsLong());
    }
  }

  private static List<String> texts(EngineConfig config, SamplingParamsBuilder params) {
    List<GenerateRequest> requests = new ArrayList<>();
    for (String prompt : PROMPTS) {
      requests.add(request("r" + requests.size(), prompt, params));
    }
    try (Engine engine = Engine.open(config)) {
      return engine.generateAll(requests).stream().map(row -> row.get(0).text()).toList();
    }
  }
}
