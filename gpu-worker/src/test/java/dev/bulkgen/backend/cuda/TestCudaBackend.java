package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.AbstractTestScoring;
import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.tensor.DType;
import org.junit.jupiter.api.Test;

/** The contract of backends, on a device with activations in float32 precision. */
class TestCudaBackend extends AbstractTestScoring {
  @Override
  protected BackendSession.Opener opener() {
    return CudaSessions.opener(Precision.TWO_PIECES);
  }

  @Override
  protected int randomStreams() {
    return 3;
  }

  @Test
  void headsWithoutKernelsAreRefusedByName() {
    RandomModels.Form form =
        new RandomModels.Form(
            6, 2, 20, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, false, 0, DType.BF16);
    ModelWeights weights = RandomModels.make(form, 5);
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, weights.config());
    CacheCapacity capacity = new CacheCapacity(4, 1, 32);
    BulkgenException refused =
        assertThrows(
            BulkgenException.class, () -> opener().open(weights, layout, capacity, 1).close());
    assertEquals(ErrorCode.MODEL_UNSUPPORTED, refused.code());
    assertTrue(refused.getMessage().contains("heads of 20"), refused.getMessage());
  }
}
