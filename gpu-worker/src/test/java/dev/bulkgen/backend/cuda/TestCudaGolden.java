package dev.bulkgen.backend.cuda;

import dev.bulkgen.Tolerances;
import dev.bulkgen.backend.AbstractTestGolden;
import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.Golden;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.cache.CachePolicy;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The CUDA backend, in float32 precision, against the numbers of the independent reference. */
class TestCudaGolden extends AbstractTestGolden {
  @Override
  protected BackendSession.Opener opener() {
    return CudaSessions.opener(Precision.TWO_PIECES);
  }

  /** Both round K and V to float16 before a prompt attends to them; the reference does not. */
  @ParameterizedTest
  @MethodSource("families")
  void prefillsAsTheCpuDoes(String family) {
    Golden golden = Golden.open(family);
    float[][] expected = prefill(CpuBackend::open, golden);
    float[][] actual = prefill(opener(), golden);
    report(
        family, "prompt_logits", Tolerances.DEVICE_PREFILL.assertClose(family, expected, actual));
  }

  private static float[][] prefill(BackendSession.Opener opener, Golden golden) {
    try (BackendSession session = open(opener, golden.weights(), CachePolicy.KIVI2)) {
      int[] prompt = golden.ids("prompt_ids");
      return session.step(session.newSequence(), LogitsRequest.ALL, prompt).logits();
    }
  }
}
