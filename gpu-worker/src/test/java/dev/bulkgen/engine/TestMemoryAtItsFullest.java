package dev.bulkgen.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.backend.cuda.EmulatedControls;
import dev.bulkgen.backend.cuda.EmulatedDevice;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.DtypeChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.config.SchedulingConfig;
import dev.bulkgen.model.ModelFolder;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a loaded engine holds is what its plan says, and a full engine runs in it (P3). */
class TestMemoryAtItsFullest {
  private static final int BATCH = 4;
  private static final int LONGEST = 320;
  private static final int PROMPT = 300;
  private static final double TOLERANCE = 0.01;

  @ParameterizedTest
  @ValueSource(strings = {"fp16", "kivi2", "kivi4", "kivi:k=2,v=2,group=32,window=64,sink=32"})
  void testADeviceHoldsWhatThePlanSays(String kvCache) {
    EmulatedDevice.assumePresent();
    EngineConfig config = config(BackendChoice.CUDA, kvCache);
    try (EmulatedControls controls = EmulatedControls.open();
        Engine engine = Engine.open(config)) {
      MemoryPlan plan = engine.memoryPlan();
      assertClose(plan.takenBytes(), controls.aliveBytes());
      fill(engine);
      assertClose(plan.takenBytes(), controls.aliveBytes());
    }
  }

  /** Cache and swap area; that workspaces are as planned is TestWorkspace's. */
  @ParameterizedTest
  @ValueSource(strings = {"fp16", "kivi2", "kivi4", "kivi:k=2,v=2,group=32,window=64,sink=32"})
  void testTheCpuHoldsWhatThePlanSays(String kvCache) {
    EngineConfig config = config(BackendChoice.CPU, kvCache);
    ModelFolder folder = ModelFolder.open(config.model());
    MemoryPlan plan = new MemoryPlanner(config, folder.description()).plan();
    try (Backend backend = new BackendFactory(config).open(folder.weights(), plan)) {
      assertClose(plan.cacheBytes(), backend.cacheBytes());
      assertClose(plan.swapBytes(), ((CpuBackend) backend).swapBytes());
    }
    try (Engine engine = Engine.open(config)) {
      fill(engine);
    }
  }

  private static EngineConfig config(BackendChoice backend, String kvCache) {
    EngineConfig small =
        EngineFixture.withMaxModelLen(EngineFixture.recall(kvCache, BATCH), LONGEST);
    return EngineFixture.withScheduling(
        EngineFixture.on(backend, DtypeChoice.AUTO, small),
        new SchedulingConfig(OptionalInt.of(96), OptionalLong.of(32 << 20), PrefixSharing.AUTO));
  }

  /** All at their longest at once, prompts in parts, half of them with a common beginning. */
  private static void fill(Engine engine) {
    assertTrue(engine.memoryPlan().stagingPages() > 0 || engine.memoryPlan().layout().isExact());
    assertEquals(BATCH, engine.memoryPlan().sequences(LONGEST));
    assertTrue(engine.memoryPlan().swapSlots() > 0);
    List<GenerateRequest> requests = new ArrayList<>();
    for (int i = 0; i < BATCH; i++) {
      int own = i % 2 == 0 ? 3 : 3 + i;
      int[] tokens = IntStream.range(0, PROMPT).map(t -> own + t % 20).toArray();
      tokens[PROMPT - 1] = 3 + i;
      requests.add(
          new GenerateRequest(
              "r" + i,
              new Prompt.Tokens(tokens),
              EngineFixture.greedy(LONGEST - PROMPT).ignoreEos(true).build()));
    }
    for (List<Completion> row : engine.generateAll(requests)) {
      assertEquals(LONGEST - PROMPT, row.get(0).usage().completionTokens());
    }
  }

  private static void assertClose(long planned, long measured) {
    assertTrue(
        Math.abs(measured - planned) <= TOLERANCE * planned,
        measured + " bytes measured, " + planned + " planned");
  }
}
