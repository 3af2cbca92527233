package dev.bulkgen.backend.cpu;

import dev.bulkgen.Tolerances;
import dev.bulkgen.backend.AbstractTestGolden;
import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.Golden;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.cache.CachePolicy;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What only a backend can show that can leave K and V in float32. */
abstract class AbstractTestCpuGolden extends AbstractTestGolden {
  private final Arithmetic arithmetic;

  AbstractTestCpuGolden(Arithmetic arithmetic) {
    this.arithmetic = arithmetic;
  }

  @Override
  protected BackendSession.Opener opener() {
    return (weights, layout, capacity, threads) ->
        CpuBackend.open(weights, layout, capacity, threads, arithmetic);
  }

  /** The same backend with K and V of a prompt left in float32, as the reference's full mode. */
  private BackendSession.Opener unrounded() {
    return (weights, layout, capacity, threads) ->
        new CpuBackend(
            weights,
            new WorkspaceShape(weights.config(), layout, capacity, threads),
            arithmetic,
            KvRounding.NONE);
  }

  /**
   * Prompt and continuation as one prompt: causal attention makes its rows the full mode's prefill
   * and decode logits. Nothing is rounded on either side here, so this tells a wrong epsilon, GELU
   * or rotary scaling from a right one.
   */
  @ParameterizedTest
  @MethodSource("families")
  void prefillsAsTheReferenceDoes(String family) {
    Golden golden = Golden.open(family);
    int[] prompt = golden.ids("prompt_ids");
    int[] continuation = golden.ids("greedy_ids");
    int[] tokens = Arrays.copyOf(prompt, prompt.length + continuation.length - 1);
    System.arraycopy(continuation, 0, tokens, prompt.length, continuation.length - 1);
    try (BackendSession session = open(unrounded(), golden.weights(), CachePolicy.KIVI2)) {
      float[][] rows = session.step(session.newSequence(), LogitsRequest.ALL, tokens).logits();
      float[][] promptRows = Arrays.copyOf(rows, prompt.length);
      float[][] fullRows = Arrays.copyOfRange(rows, prompt.length - 1, rows.length);
      Tolerances exact = Tolerances.GOLDEN_FULL_PRECISION;
      report(
          family,
          "prompt_logits",
          exact.assertClose(family, golden.rows("prompt_logits"), promptRows));
      report(
          family, "full_logits", exact.assertClose(family, golden.rows("full_logits"), fullRows));
    }
  }
}
