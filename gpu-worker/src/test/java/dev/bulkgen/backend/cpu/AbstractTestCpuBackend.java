package dev.bulkgen.backend.cpu;

import dev.bulkgen.backend.AbstractTestScoring;
import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.tensor.DType;
import org.junit.jupiter.api.Test;

/** What holds for the CPU alone: devices take heads in multiples of 8. */
abstract class AbstractTestCpuBackend extends AbstractTestScoring {
  private static final RandomModels.Form ODD_HEADS =
      new RandomModels.Form(
          6, 2, 20, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, false, 45, DType.BF16);

  private final Arithmetic arithmetic;

  AbstractTestCpuBackend(Arithmetic arithmetic) {
    this.arithmetic = arithmetic;
  }

  @Override
  protected BackendSession.Opener opener() {
    return (weights, layout, capacity, threads) ->
        CpuBackend.open(weights, layout, capacity, threads, arithmetic);
  }

  @Test
  void headsThatFitNoVectorKeepTheirBits() {
    aRowsBitsAreItsOwn(ODD_HEADS, CachePolicy.FP16);
  }

  @Test
  void headsThatFitNoVectorDecodeAsTheyPrefill() {
    decodeEqualsPrefill(ODD_HEADS, CachePolicy.FP16);
    decodeEqualsPrefill(ODD_HEADS, new CachePolicy.Kivi(2, 2, 32, 1024, 0));
    decodeEqualsPrefill(ODD_HEADS, new CachePolicy.Kivi(2, 2, 64, 1024, 64));
  }
}
