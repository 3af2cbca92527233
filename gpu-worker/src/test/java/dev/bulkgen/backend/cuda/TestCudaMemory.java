package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.tensor.DType;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What a backend takes on the device, against what the plan says it takes. */
class TestCudaMemory {
  /** Spare bytes of parts that a model does without: biases and norms count for every model. */
  private static final double LEAST_SHARE = 0.95;

  private static Stream<Arguments> cases() {
    List<ModelWeights> models =
        List.of(
            model(8, 8, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, DType.BF16),
            tied(model(8, 2, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, DType.F16)),
            model(4, 2, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, DType.F32),
            tied(model(4, 1, BlockForm.PARALLEL_ONE_NORM, MlpForm.GELU, DType.BF16)),
            model(4, 2, BlockForm.PARALLEL_TWO_NORMS, MlpForm.GELU_TANH, DType.F32));
    List<CachePolicy> policies =
        List.of(CachePolicy.FP16, CachePolicy.KIVI2, new CachePolicy.Kivi(4, 2, 32, 64, 32));
    List<CacheCapacity> capacities =
        List.of(
            new CacheCapacity(64, 1, 40),
            new CacheCapacity(400, 20, 5000),
            new CacheCapacity(300, 5, 500, 3000, 70, 40, 3));
    return models.stream()
        .flatMap(
            model ->
                policies.stream()
                    .flatMap(
                        policy ->
                            capacities.stream()
                                .map(capacity -> Arguments.of(model, policy, capacity))));
  }

  @ParameterizedTest
  @MethodSource("cases")
  void testThePlanIsWhatIsTaken(ModelWeights model, CachePolicy policy, CacheCapacity capacity) {
    CacheLayout layout = CacheLayout.of(policy, model.config());
    for (Precision precision : Precision.values()) {
      CudaNeeds needs = CudaNeeds.of(model, layout, capacity, precision, GemmChoice.OWN);
      long cache =
          (long) capacity.pages() * layout.pageBytes()
              + capacity.slots() * layout.windowBytes()
              + (long) capacity.stagingPages() * layout.staging().pageBytes();
      long swap =
          (long) capacity.swapPages() * layout.pageBytes()
              + capacity.swapSlots() * layout.windowBytes();
      assertEquals(swap, needs.swapBytes());
      try (EmulatedControls controls = EmulatedControls.open()) {
        long before = controls.aliveBytes();
        try (Backend backend =
            CudaBackend.open(
                EmulatedDevice.open(), model, layout, capacity, precision, GemmChoice.OWN)) {
          long taken = controls.aliveBytes() - before;
          long planned = needs.bytes() + cache;
          assertEquals(cache, backend.cacheBytes());
          String text =
              String.format(
                  Locale.ROOT,
                  "%d bytes taken, %d planned, %d of them cache",
                  taken,
                  planned,
                  cache);
          assertTrue(taken <= planned, text);
          assertTrue(taken - cache >= LEAST_SHARE * needs.bytes(), text);
        }
      }
    }
  }

  @Test
  void testSumsOfAnotherLibraryArePlanned() {
    ModelWeights model = model(4, 2, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, DType.BF16);
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, model.config());
    CacheCapacity capacity = new CacheCapacity(64, 4, 3000);
    CudaNeeds own = CudaNeeds.of(model, layout, capacity, Precision.ONE_PIECE, GemmChoice.OWN);
    CudaNeeds cublas =
        CudaNeeds.of(model, layout, capacity, Precision.ONE_PIECE, GemmChoice.CUBLAS);
    // 1024 rows of the widest product: gate and up, 72 columns each.
    long sums = 4L * 1024 * Math.max(2 * 72, (4 + 2 * 2) * 32);
    assertEquals(own.bytes() + sums + (64 << 20), cublas.bytes());
  }

  @Test
  void testMoreSequencesThanAGridHolds() {
    ModelWeights model = model(4, 2, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, DType.BF16);
    refused(model, new CacheCapacity(1, 65_536, 100), ErrorCode.SETTING_INVALID, "max-batch");
    refused(
        model,
        new CacheCapacity(1, 65_535, 1 << 24),
        ErrorCode.MEMORY_PLAN_REFUSED,
        "lower max-batch to 2047, or max-model-len");
  }

  private static void refused(
      ModelWeights model, CacheCapacity capacity, ErrorCode code, String part) {
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, model.config());
    try (EmulatedControls controls = EmulatedControls.open()) {
      BulkgenException error =
          assertThrows(
              BulkgenException.class,
              () ->
                  CudaBackend.open(
                      EmulatedDevice.open(),
                      model,
                      layout,
                      capacity,
                      Precision.ONE_PIECE,
                      GemmChoice.OWN));
      assertEquals(code, error.code());
      assertTrue(error.getMessage().contains(part), error.getMessage());
      assertEquals(0, controls.alive());
    }
  }

  private static ModelWeights model(
      int queryHeads, int kvHeads, BlockForm block, MlpForm mlp, DType type) {
    return RandomModels.make(
        new RandomModels.Form(
            queryHeads, kvHeads, 32, block, mlp, mlp == MlpForm.SILU_GATED, 0, type),
        7);
  }

  private static ModelWeights tied(ModelWeights model) {
    ModelConfig config = model.config();
    ModelConfig tied =
        new ModelConfig(
            config.family(),
            config.vocabSize(),
            config.hiddenSize(),
            config.intermediateSize(),
            config.layerCount(),
            config.maxPositions(),
            config.attention(),
            config.rope(),
            config.norm(),
            config.normEpsilon(),
            config.block(),
            config.mlp(),
            true,
            config.eosTokenIds(),
            config.bosTokenId());
    return new ModelWeights(
        tied,
        model.embedding(),
        model.layers(),
        model.finalNorm(),
        new ModelWeights.Linear(model.embedding(), null));
  }
}
