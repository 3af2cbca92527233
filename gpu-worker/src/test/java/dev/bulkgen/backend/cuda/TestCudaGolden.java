package dev.bulkgen.backend.cuda;

import dev.bulkgen.Tolerances;
import dev.bulkgen.backend.AbstractTestGolden;
import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.Golden;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.cache.CachePolicy;
import java.util.Arrays;
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

  /** What everybody runs: activations rounded to the checkpoint's own type. */
  @ParameterizedTest
  @MethodSource("families")
  void sixteenBitActivationsStayClose(String family) {
    Golden golden = Golden.open(family);
    try (BackendSession session =
        open(CudaSessions.opener(Precision.ONE_PIECE), golden.weights(), CachePolicy.FP16)) {
      float[][] actual =
          session.teacherForced(golden.ids("prompt_ids"), golden.ids("greedy_ids"), 40);
      float[][] expected = Arrays.copyOf(golden.rows("fp16_logits"), 40);
      report(
          family,
          "fp16, 16-bit activations",
          Tolerances.BFLOAT16_ACTIVATIONS.assertClose(family, expected, actual));
    }
  }

  private static float[][] prefill(BackendSession.Opener opener, Golden golden) {
    try (BackendSession session = open(opener, golden.weights(), CachePolicy.KIVI2)) {
      int[] prompt = golden.ids("prompt_ids");
      return session.step(session.newSequence(), LogitsRequest.ALL, prompt).logits();
    }
  }
}
