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

/**
 * What a loaded engine holds is what its plan says, the swap area too, and a full engine runs in it
 * (P3).
 */
class TestMemoryAtItsFullest {
  private static final int BATCH = 4;
  private static final int LONGEST = 320;
  private static final int PROMPT = 300;
  private static final double TOLERANCE = 0.01;
  private static final long SWAP = 32 << 20;

  /** Long enough for coded pages to take more than a window: the plan gives each a slot then. */
  private static final int EDGE_LONGEST = 1040;

  private static final int EDGE_PROMPT = 1010;

  @ParameterizedTest
  @ValueSource(strings = {"fp16", "kivi2", "kivi4", "kivi:k=2,v=2,group=32,window=64,sink=32"})
  void testADeviceHoldsWhatThePlanSays(String kvCache) {
    EmulatedDevice.assumePresent();
    EngineConfig config = config(BackendChoice.CUDA, kvCache);
    try (EmulatedControls controls = EmulatedControls.open()) {
      long pinnedBeside = pinnedBytes(controls, withoutSwap(config));
      try (Engine engine = Engine.open(config)) {
        MemoryPlan plan = engine.memoryPlan();
        assertClose(plan.takenBytes(), controls.aliveBytes());
        fill(engine);
        assertClose(plan.takenBytes(), controls.aliveBytes());
        assertClose(plan.swapBytes(), controls.alivePinnedBytes() - pinnedBeside);
      }
    }
  }

  /** Cache and swap area; that workspaces are as planned is TestWorkspace's. */
  @ParameterizedTest
  @ValueSource(strings = {"fp16", "kivi2", "kivi4", "kivi:k=2,v=2,group=32,window=64,sink=32"})
  void testTheCpuHoldsWhatThePlanSays(String kvCache) {
    EngineConfig config = config(BackendChoice.CPU, kvCache);
    assertCpuBytes(config);
    try (Engine engine = Engine.open(config)) {
      fill(engine);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"fp16", "kivi2", "kivi4"})
  void testADeviceSwapsAtTheEdgeOfItsPlan(String kvCache) {
    EmulatedDevice.assumePresent();
    EngineConfig edge = edge(BackendChoice.CUDA, kvCache);
    try (EmulatedControls controls = EmulatedControls.open()) {
      long pinnedBeside = pinnedBytes(controls, withoutSwap(edge));
      try (Engine engine = Engine.open(edge)) {
        runBeyondThePages(engine);
        assertClose(engine.memoryPlan().takenBytes(), controls.aliveBytes());
        assertClose(engine.memoryPlan().swapBytes(), controls.alivePinnedBytes() - pinnedBeside);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"fp16", "kivi2", "kivi4"})
  void testTheCpuSwapsAtTheEdgeOfItsPlan(String kvCache) {
    EngineConfig edge = edge(BackendChoice.CPU, kvCache);
    assertCpuBytes(edge);
    try (Engine engine = Engine.open(edge)) {
      runBeyondThePages(engine);
    }
  }

  private static void assertCpuBytes(EngineConfig config) {
    ModelFolder folder = ModelFolder.open(config.model());
    MemoryPlan plan = new MemoryPlanner(config, folder.description()).plan();
    try (Backend backend = new BackendFactory(config).open(folder.weights(), plan)) {
      assertClose(plan.cacheBytes(), backend.cacheBytes());
      assertClose(plan.swapBytes(), ((CpuBackend) backend).swapBytes());
    }
  }

  private static long pinnedBytes(EmulatedControls controls, EngineConfig config) {
    try (Engine engine = Engine.open(config)) {
      assertEquals(0, engine.memoryPlan().swapBytes());
      return controls.alivePinnedBytes();
    }
  }

  private static EngineConfig withoutSwap(EngineConfig config) {
    return EngineFixture.withScheduling(
        config,
        new SchedulingConfig(
            config.scheduling().maxPrefillTokens(),
            OptionalLong.of(0),
            config.scheduling().prefixSharing()));
  }

  /** Two sequences, and a page of every layer less than they need at their longest. */
  private static EngineConfig edge(BackendChoice backend, String kvCache) {
    EngineConfig large =
        EngineFixture.withScheduling(
            EngineFixture.on(
                backend,
                DtypeChoice.AUTO,
                EngineFixture.withMaxModelLen(EngineFixture.recall(kvCache, 2), EDGE_LONGEST)),
            new SchedulingConfig(OptionalInt.empty(), OptionalLong.of(SWAP), PrefixSharing.OFF));
    MemoryPlan plan = new MemoryPlanner(large, ModelFolder.describe(large.model())).plan();
    long page = (long) plan.layout().layers() * plan.layout().pageBytes();
    return EngineFixture.withMemory(large, plan.takenBytes() - page);
  }

  /** Outputs are short at first, so that both longest begin, and then have not enough pages. */
  private static void runBeyondThePages(Engine engine) {
    MemoryPlan plan = engine.memoryPlan();
    assertEquals(2, plan.slots());
    assertEquals(1, plan.sequences(EDGE_LONGEST));
    List<GenerateRequest> requests = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      requests.add(request("short" + i, new int[] {3 + i}, 1));
    }
    engine.generateAll(requests);
    requests.clear();
    for (int i = 0; i < 4; i++) {
      int own = 3 + i;
      int[] tokens = IntStream.range(0, EDGE_PROMPT).map(t -> own + t % 20).toArray();
      requests.add(request("long" + i, tokens, EDGE_LONGEST - EDGE_PROMPT));
    }
    assertAllAtTheirLongest(engine, requests, EDGE_LONGEST - EDGE_PROMPT);
    assertTrue(engine.metrics().swapOuts() > 0, "one had to make room");
    assertTrue(engine.metrics().peakPages() <= plan.pages());
  }

  private static GenerateRequest request(String key, int[] tokens, int maxTokens) {
    return new GenerateRequest(
        key, new Prompt.Tokens(tokens), EngineFixture.greedy(maxTokens).ignoreEos(true).build());
  }

  private static void assertAllAtTheirLongest(
      Engine engine, List<GenerateRequest> requests, int tokens) {
    for (List<Completion> row : engine.generateAll(requests)) {
      assertEquals(tokens, row.get(0).usage().completionTokens());
    }
  }

  private static EngineConfig config(BackendChoice backend, String kvCache) {
    EngineConfig small =
        EngineFixture.withMaxModelLen(EngineFixture.recall(kvCache, BATCH), LONGEST);
    return EngineFixture.withScheduling(
        EngineFixture.on(backend, DtypeChoice.AUTO, small),
        new SchedulingConfig(OptionalInt.of(96), OptionalLong.of(SWAP), PrefixSharing.AUTO));
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
      requests.add(request("r" + i, tokens, LONGEST - PROMPT));
    }
    assertAllAtTheirLongest(engine, requests, LONGEST - PROMPT);
  }

  private static void assertClose(long planned, long measured) {
    assertTrue(
        Math.abs(measured - planned) <= TOLERANCE * planned,
        measured + " bytes measured, " + planned + " planned");
  }
}
