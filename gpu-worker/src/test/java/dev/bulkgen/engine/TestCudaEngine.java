package dev.bulkgen.engine;

import static dev.bulkgen.engine.EngineFixture.greedy;
import static dev.bulkgen.engine.EngineFixture.on;
import static dev.bulkgen.engine.EngineFixture.recall;
import static dev.bulkgen.engine.EngineFixture.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Fixtures;
import dev.bulkgen.backend.cuda.EmulatedControls;
import dev.bulkgen.backend.cuda.EmulatedDevice;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.DtypeChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

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

  @Test
  void testTheDeviceThatIsAskedFor() {
    EngineConfig second = EngineFixture.withDevice(batch(2, DtypeChoice.AUTO), 1);
    BulkgenException missing = assertThrows(BulkgenException.class, () -> Engine.open(second));
    assertEquals(ErrorCode.DEVICE_UNAVAILABLE, missing.code());
    assertTrue(missing.getMessage().contains("device 1"), missing.getMessage());
    try (EmulatedControls controls = EmulatedControls.open()) {
      controls.devices(2);
      try (Engine engine = Engine.open(second)) {
        assertEquals("cuda (Emulated device 1, device 1)", engine.backendDescription());
        assertEquals(1, engine.generateAll(List.of(request("k", "a cat", greedy(3)))).size());
      }
    }
  }

  /** What a refusal names is enough on the device, and all that the plan counts is taken. */
  @ParameterizedTest
  @ValueSource(strings = {"fp16", "kivi2"})
  void testTheSmallestBudgetIsEnough(String kvCache) {
    EngineConfig config =
        on(
            BackendChoice.CUDA,
            DtypeChoice.AUTO,
            EngineFixture.withMaxModelLen(recall(kvCache, 2), 100));
    EngineConfig least = EngineFixture.withMemory(config, leastBudget(config));
    try (EmulatedControls controls = EmulatedControls.open();
        Engine engine = Engine.open(least)) {
      long planned = engine.memoryPlan().takenBytes();
      assertTrue(planned <= least.memoryBytes().getAsLong());
      assertTrue(controls.aliveBytes() <= planned, controls.aliveBytes() + " of " + planned);
      assertTrue(controls.aliveBytes() >= 0.95 * planned, controls.aliveBytes() + " of " + planned);
      assertEquals(1, engine.generateAll(List.of(request("k", "a cat", greedy(3)))).size());
    }
  }

  private static long leastBudget(EngineConfig config) {
    BulkgenException refused =
        assertThrows(
            BulkgenException.class, () -> Engine.open(EngineFixture.withMemory(config, 1 << 10)));
    return named(refused);
  }

  /** The budget that a refusal advises. */
  private static long named(BulkgenException refused) {
    Matcher named =
        Pattern.compile("raise memory to .* \\((\\d+) bytes\\)").matcher(refused.getMessage());
    assertTrue(named.find(), refused.getMessage());
    return Long.parseLong(named.group(1));
  }

  /** config.json says 16 bits, the files hold 32: found before anything is taken. */
  @Test
  void testWeightsLargerThanDeclared(@TempDir Path folder) throws IOException {
    try (Stream<Path> files = Files.list(Fixtures.path("models/stories260k"))) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
    Path json = folder.resolve("config.json");
    Files.writeString(json, Files.readString(json).replace("\"float32\"", "\"bfloat16\""));
    EngineConfig config =
        on(
            BackendChoice.CUDA,
            DtypeChoice.FLOAT32,
            EngineFixture.config(folder, "fp16", 1, PromptOverflow.ERROR));
    EngineConfig least = EngineFixture.withMemory(config, leastBudget(config));
    BulkgenException error = assertThrows(BulkgenException.class, () -> Engine.open(least));
    assertEquals(ErrorCode.MEMORY_PLAN_REFUSED, error.code());
    assertTrue(error.getMessage().contains("torch_dtype"), error.getMessage());
    Engine.open(EngineFixture.withMemory(config, named(error))).close();
  }

  /** The stand-in has no cuBLAS, be it installed or not. */
  @Test
  void testCublasIsRefusedWhereItIsNot() {
    EngineConfig config = EngineFixture.withGemm(batch(2, DtypeChoice.AUTO), GemmChoice.CUBLAS);
    BulkgenException error = assertThrows(BulkgenException.class, () -> Engine.open(config));
    assertEquals(ErrorCode.DEVICE_UNAVAILABLE, error.code());
    assertTrue(error.getMessage().startsWith("no cuBLAS: libcublas.so.12"), error.getMessage());
    assertTrue(error.getMessage().contains("leave gemm at own"), error.getMessage());
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
