package dev.bulkgen.engine;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Fixtures;
import dev.bulkgen.cache.MemoryDemand.WeightPlacement;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.DtypeChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.config.SchedulingConfig;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelDescription;
import dev.bulkgen.model.ModelFolder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.function.IntFunction;
import java.util.function.LongFunction;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestMemoryPlanner {

  private static MemoryPlan plan(
      Path model, BackendChoice backend, OptionalLong memory, OptionalInt maxModelLen) {
    EngineConfig config =
        new EngineConfig(
            model,
            "kivi2",
            backend,
            DtypeChoice.AUTO,
            GemmChoice.OWN,
            memory,
            0.9,
            8,
            maxModelLen,
            PromptOverflow.ERROR,
            2,
            0,
            SchedulingConfig.DEFAULT);
    return new MemoryPlanner(config, ModelFolder.describe(model)).plan();
  }

  @Test
  void testAllMistakesAtOnce() {
    Path model = Fixtures.path("models/recall");
    EngineConfig config =
        new EngineConfig(
            model,
            "auto",
            BackendChoice.CPU,
            DtypeChoice.AUTO,
            GemmChoice.OWN,
            OptionalLong.empty(),
            Double.NaN,
            0,
            OptionalInt.of(1),
            PromptOverflow.ERROR,
            0,
            0,
            SchedulingConfig.DEFAULT);
    BulkgenException error =
        assertThrows(
            BulkgenException.class, () -> new MemoryPlanner(config, ModelFolder.describe(model)));
    assertEquals(4, error.getMessage().lines().count(), error.getMessage());
  }

  /** What the refusal names does fit, with the smaller workspace of shorter sequences. */
  @Test
  void testRefusalNamesALengthThatFits() {
    Path model = Fixtures.path("models/recall");
    OptionalLong memory = OptionalLong.of(4 << 20);
    BulkgenException error =
        assertThrows(
            BulkgenException.class,
            () -> plan(model, BackendChoice.CPU, memory, OptionalInt.empty()));
    assertEquals(ErrorCode.MEMORY_PLAN_REFUSED, error.code());
    int fitting = number(error, "max-model-len to (\\d+)");
    assertDoesNotThrow(() -> plan(model, BackendChoice.CPU, memory, OptionalInt.of(fitting)));
    assertThrows(
        BulkgenException.class,
        () -> plan(model, BackendChoice.CPU, memory, OptionalInt.of(fitting + 1)));
  }

  /** A batch whose workspace alone is too large is refused with one that fits, and no larger. */
  @Test
  void testRefusalNamesABatchThatFits() {
    Path model = Fixtures.path("models/recall");
    IntFunction<MemoryPlan> plan =
        batch ->
            new MemoryPlanner(
                    EngineFixture.withMemory(EngineFixture.recall("kivi2", batch), 8 << 20),
                    ModelFolder.describe(model))
                .plan();
    BulkgenException error = assertThrows(BulkgenException.class, () -> plan.apply(60_000));
    assertEquals(ErrorCode.MEMORY_PLAN_REFUSED, error.code());
    int fitting = number(error, "max-batch to (\\d+)");
    assertTrue(fitting > 1, error.getMessage());
    assertDoesNotThrow(() -> plan.apply(fitting));
    assertThrows(BulkgenException.class, () -> plan.apply(fitting + 1));
  }

  /** Where neither a shorter length nor a smaller batch is enough, both are named. */
  @Test
  void testRefusalNamesLengthAndBatchTogether() {
    Path model = Fixtures.path("models/recall");
    EngineConfig wide = EngineFixture.withMemory(EngineFixture.recall("kivi2", 60_000), 1 << 20);
    BulkgenException error =
        assertThrows(
            BulkgenException.class,
            () -> new MemoryPlanner(wide, ModelFolder.describe(model)).plan());
    int length = number(error, "max-batch to 1 and max-model-len to (\\d+)");
    EngineConfig narrow = EngineFixture.withMemory(EngineFixture.recall("kivi2", 1), 1 << 20);
    EngineConfig fitting = EngineFixture.withMaxModelLen(narrow, length);
    assertDoesNotThrow(() -> new MemoryPlanner(fitting, ModelFolder.describe(model)).plan());
  }

  /** What the refusal names is accepted, and a byte less is not. */
  @ParameterizedTest
  @CsvSource({
    "fp16, 1, 0, 0",
    "fp16, 1000, 777, 0",
    "kivi2, 1, 0, 0",
    "kivi2, 64, 0, 0",
    "kivi2, 64, 0, 96",
    "kivi2, 1000, 509, 0",
    "'kivi:k=4,v=2,group=16,window=16', 64, 1154, 0",
    "'kivi:k=4,v=2,group=16,window=16', 2, 0, 100",
    "'kivi:k=2,v=2,group=128,window=256,sink=128', 8, 100, 0"
  })
  void testRefusalNamesTheSmallestBudget(
      String kvCache, int maxBatch, int maxModelLen, int maxPrefillTokens) {
    ModelDescription description = ModelFolder.describe(Fixtures.path("models/recall"));
    EngineConfig batch =
        EngineFixture.withScheduling(
            EngineFixture.recall(kvCache, maxBatch),
            new SchedulingConfig(
                maxPrefillTokens == 0 ? OptionalInt.empty() : OptionalInt.of(maxPrefillTokens),
                OptionalLong.empty(),
                PrefixSharing.AUTO));
    EngineConfig config =
        maxModelLen == 0 ? batch : EngineFixture.withMaxModelLen(batch, maxModelLen);
    LongFunction<MemoryPlan> plan =
        memory -> new MemoryPlanner(EngineFixture.withMemory(config, memory), description).plan();
    for (long memory : new long[] {0, 1 << 16, 1 << 19}) {
      BulkgenException error = assertThrows(BulkgenException.class, () -> plan.apply(memory));
      int named = number(error, "raise memory to .* \\((\\d+) bytes\\)");
      MemoryPlan accepted = plan.apply(named);
      assertTrue(accepted.takenBytes() <= named, accepted.toString());
      assertTrue(accepted.sequences(accepted.demand().maxModelLen()) >= 1, accepted.toString());
      assertThrows(BulkgenException.class, () -> plan.apply(named - 1));
    }
  }

  /** A device's table of pages has an end of its own, whatever the memory. */
  @Test
  void testRefusalNamesABatchWhosePageTableFits(@TempDir Path folder) throws Exception {
    String config = Files.readString(Fixtures.path("models/recall/config.json"));
    Path file = folder.resolve("config.json");
    Files.writeString(file, config.replace("2048", "8000000"));
    ModelDescription description = ModelFolder.describe(file);
    IntFunction<MemoryPlan> plan =
        batch ->
            new MemoryPlanner(
                    EngineFixture.withMemory(
                        EngineFixture.on(
                            BackendChoice.CUDA,
                            DtypeChoice.AUTO,
                            EngineFixture.config(file, "kivi2", batch, PromptOverflow.ERROR)),
                        1L << 50),
                    description)
                .plan();
    BulkgenException error = assertThrows(BulkgenException.class, () -> plan.apply(60_000));
    assertEquals(ErrorCode.MEMORY_PLAN_REFUSED, error.code());
    int fitting = number(error, "max-batch to (\\d+)");
    assertDoesNotThrow(() -> plan.apply(fitting));
    assertThrows(BulkgenException.class, () -> plan.apply(fitting + 1));
  }

  @Test
  void testABatchBeyondTheLimitIsAMistake() {
    Path model = Fixtures.path("models/recall");
    EngineConfig config = EngineFixture.recall("kivi2", Integer.MAX_VALUE);
    BulkgenException error =
        assertThrows(
            BulkgenException.class, () -> new MemoryPlanner(config, ModelFolder.describe(model)));
    assertEquals(ErrorCode.SETTING_INVALID, error.code());
  }

  /** A long context that no heap holds is refused with one that this heap does. */
  @Test
  void testTheWorkspaceMustFitTheHeap(@TempDir Path folder) throws Exception {
    String config = Files.readString(Fixtures.path("models/recall/config.json"));
    Path file = folder.resolve("config.json");
    Files.writeString(file, config.replace("2048", "8000000"));
    OptionalLong memory = OptionalLong.of(1L << 44);
    BulkgenException error =
        assertThrows(
            BulkgenException.class,
            () -> plan(file, BackendChoice.CPU, memory, OptionalInt.empty()));
    assertEquals(ErrorCode.MEMORY_PLAN_REFUSED, error.code());
    int fitting = number(error, "max-model-len to (\\d+)");
    MemoryPlan plan = plan(file, BackendChoice.CPU, memory, OptionalInt.of(fitting));
    assertTrue(plan.demand().workspace() <= Runtime.getRuntime().maxMemory());
  }

  @Test
  void testADeviceHoldsTheWeights() {
    Path model = Fixtures.path("models/recall");
    OptionalLong memory = OptionalLong.of(1 << 30);
    MemoryPlan device = plan(model, BackendChoice.CUDA, memory, OptionalInt.empty());
    MemoryPlan cpu = plan(model, BackendChoice.CPU, memory, OptionalInt.empty());
    assertEquals(WeightPlacement.RESIDENT, device.demand().placement());
    assertEquals(WeightPlacement.MAPPED, cpu.demand().placement());
    long weights = ModelFolder.describe(model).weightBytes();
    assertTrue(device.demand().weights() >= weights);
    assertTrue(device.takenBytes() >= device.cacheBytes() + device.demand().weights());
  }

  @Test
  void testTheBudgetOfThisMachine() {
    assertTrue(HostMemory.freeBytes() > 0);
    assertTrue(HostMemory.directLimit() > 0);
    Path model = Fixtures.path("models/recall");
    MemoryPlan plan = plan(model, BackendChoice.CPU, OptionalLong.empty(), OptionalInt.empty());
    assertTrue(plan.demand().budget() <= HostMemory.directLimit());
  }

  private static int number(BulkgenException error, String pattern) {
    Matcher matcher = Pattern.compile(pattern).matcher(error.getMessage());
    assertTrue(matcher.find(), error.getMessage());
    return Integer.parseInt(matcher.group(1));
  }
}
