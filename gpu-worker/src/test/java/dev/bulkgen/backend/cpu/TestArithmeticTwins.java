package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.tensor.DType;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The scalar and the vectorized backend give the same bits, through whole models. */
class TestArithmeticTwins {
  private static final int PROMPT = 90;
  private static final int DECODED = 70;

  static Stream<Arguments> models() {
    BlockForm plain = BlockForm.SEQUENTIAL;
    MlpForm gated = MlpForm.SILU_GATED;
    return Stream.of(
        Arguments.of(form(4, 2, 16, plain, gated, false, DType.BF16), CachePolicy.FP16),
        Arguments.of(
            form(2, 2, 64, plain, gated, true, DType.F32), new CachePolicy.Kivi(2, 2, 32, 32, 0)),
        Arguments.of(
            form(2, 1, 80, plain, gated, false, DType.F16), new CachePolicy.Kivi(4, 2, 48, 48, 48)),
        Arguments.of(
            form(3, 1, 24, BlockForm.PARALLEL_ONE_NORM, MlpForm.GELU, false, DType.BF16),
            new CachePolicy.Kivi(2, 4, 16, 32, 16)),
        Arguments.of(
            form(4, 4, 8, BlockForm.PARALLEL_TWO_NORMS, MlpForm.GELU_TANH, false, DType.BF16),
            new CachePolicy.Kivi(4, 4, 128, 128, 0)));
  }

  private static RandomModels.Form form(
      int heads, int kvHeads, int headDim, BlockForm block, MlpForm mlp, boolean qk, DType dtype) {
    return new RandomModels.Form(heads, kvHeads, headDim, block, mlp, qk, 0, dtype);
  }

  @ParameterizedTest
  @MethodSource("models")
  void giveTheSameBits(RandomModels.Form form, CachePolicy policy) {
    ModelWeights weights = RandomModels.make(form, 53);
    float[][] scalar = run(weights, policy, Arithmetic.SCALAR);
    float[][] vector = run(weights, policy, Arithmetic.VECTOR);
    assertTrue(scalar[DECODED - 1][0] != scalar[0][0], "the logits move from token to token");
    for (int i = 0; i < DECODED; i++) {
      assertArrayEquals(scalar[i], vector[i], "token " + i);
    }
  }

  private static float[][] run(ModelWeights weights, CachePolicy policy, Arithmetic arithmetic) {
    int[] tokens = new SplittableRandom(2).ints(PROMPT + DECODED, 0, 66).toArray();
    CacheLayout layout = CacheLayout.of(policy, weights.config());
    BackendSession.Opener opener =
        (model, cache, capacity, threads) ->
            CpuBackend.open(model, cache, capacity, threads, arithmetic);
    try (BackendSession session =
        new BackendSession(opener, weights, layout, 1, PROMPT + DECODED, 2, 0)) {
      return session.teacherForced(
          Arrays.copyOf(tokens, PROMPT),
          Arrays.copyOfRange(tokens, PROMPT, tokens.length),
          DECODED);
    }
  }
}
