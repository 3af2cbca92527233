package dev.bulkgen.backend;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.bulkgen.Tolerances;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.tensor.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What holds for every backend: above all that a row's bits are its own (P1). */
public abstract class AbstractTestBackend {
  protected static final RandomModels.Form PLAIN =
      new RandomModels.Form(
          4, 2, 16, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, false, 0, DType.BF16);

  private static final int[] PROMPTS = {21, 300, 1, 64, 130, 33};
  private static final int DECODED = 36;
  private static final int MAX_LENGTH = 352;

  protected abstract BackendSession.Opener opener();

  static Stream<Arguments> formsAndPolicies() {
    BlockForm plain = BlockForm.SEQUENTIAL;
    MlpForm gated = MlpForm.SILU_GATED;
    return Stream.of(
        Arguments.of(PLAIN, CachePolicy.FP16),
        Arguments.of(PLAIN, new CachePolicy.Kivi(2, 2, 16, 16, 0)),
        Arguments.of(
            new RandomModels.Form(2, 2, 64, plain, gated, false, 70, DType.F16),
            new CachePolicy.Kivi(4, 2, 64, 64, 64)),
        Arguments.of(
            new RandomModels.Form(2, 1, 80, plain, gated, true, 0, DType.F32),
            new CachePolicy.Kivi(2, 4, 48, 96, 48)),
        Arguments.of(
            new RandomModels.Form(
                3, 1, 24, BlockForm.PARALLEL_ONE_NORM, MlpForm.GELU, false, 0, DType.BF16),
            new CachePolicy.Kivi(4, 4, 128, 128, 0)),
        Arguments.of(
            new RandomModels.Form(
                4, 4, 8, BlockForm.PARALLEL_TWO_NORMS, MlpForm.GELU_TANH, false, 0, DType.BF16),
            new CachePolicy.Kivi(2, 2, 32, 64, 32)),
        Arguments.of(
            new RandomModels.Form(6, 2, 40, plain, gated, false, 45, DType.BF16),
            CachePolicy.FP16));
  }

  @ParameterizedTest
  @MethodSource("formsAndPolicies")
  protected void aRowsBitsAreItsOwn(RandomModels.Form form, CachePolicy policy) {
    ModelWeights weights = RandomModels.make(form, 17);
    List<float[][]> alone = new ArrayList<>();
    for (int s = 0; s < PROMPTS.length; s++) {
      try (BackendSession session = open(weights, policy, 1, MAX_LENGTH, 1, 0)) {
        alone.add(run(session, List.of(s), false).get(0));
      }
    }
    for (int threads = 1; threads <= 3; threads++) {
      boolean staggered = threads > 1;
      List<Integer> order = threads == 3 ? List.of(5, 3, 1, 0, 2, 4) : List.of(0, 1, 2, 3, 4, 5);
      try (BackendSession session =
          open(weights, policy, order.size(), MAX_LENGTH, threads, threads - 1)) {
        List<float[][]> together = run(session, order, staggered);
        for (int i = 0; i < order.size(); i++) {
          assertSameBits(alone.get(order.get(i)), together.get(i), "sequence " + order.get(i));
        }
      }
    }
  }

  /** Contexts of several splits, alone and in company. */
  @ParameterizedTest
  @MethodSource("longContexts")
  void splitContextsAreTheirOwn(RandomModels.Form form, CachePolicy policy) {
    ModelWeights weights = RandomModels.make(form, 23);
    int[] tokens = tokens(99, 1100);
    float[][] alone;
    try (BackendSession session = open(weights, policy, 1, 1200, 1, 0)) {
      alone = session.teacherForced(tokens, tokens, 3);
    }
    try (BackendSession session = open(weights, policy, 2, 1200, 2, 5)) {
      SequenceCache neighbour = session.newSequence();
      SequenceCache cache = session.newSequence();
      session.step(neighbour, LogitsRequest.NONE, tokens(98, 600));
      float[][] together = new float[3][];
      together[0] = session.step(cache, LogitsRequest.LAST, tokens).logits()[0];
      for (int i = 1; i < 3; i++) {
        List<StepOutput.SequenceOutput> outputs =
            session.step(
                List.of(
                    new BackendSession.Feed(neighbour, LogitsRequest.NONE, 3),
                    new BackendSession.Feed(cache, LogitsRequest.LAST, tokens[i - 1])));
        together[i] = ((StepOutput.Token) outputs.get(1)).logits()[0];
      }
      assertSameBits(alone, together, "long context");
    }
  }

  static Stream<Arguments> longContexts() {
    return Stream.of(
        Arguments.of(PLAIN, CachePolicy.FP16),
        Arguments.of(PLAIN, new CachePolicy.Kivi(2, 2, 48, 48, 48)),
        Arguments.of(
            new RandomModels.Form(
                4, 2, 16, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, false, 300, DType.BF16),
            new CachePolicy.Kivi(4, 4, 32, 128, 0)));
  }

  /** With float16 tokens only, decoding a token gives what prefilling it gives. */
  @ParameterizedTest
  @MethodSource("exactCaches")
  protected void decodeEqualsPrefill(RandomModels.Form form, CachePolicy policy) {
    ModelWeights weights = RandomModels.make(form, 29);
    int[] tokens = tokens(7, 700);
    for (int prompt : new int[] {1, 16, 79, 600}) {
      try (BackendSession session = open(weights, policy, 2, 720, 2, 3)) {
        int end = Math.min(tokens.length, prompt + 50);
        float[][] prefilled =
            session
                .step(session.newSequence(), LogitsRequest.ALL, Arrays.copyOf(tokens, end))
                .logits();
        SequenceCache cache = session.newSequence();
        session.step(cache, LogitsRequest.NONE, Arrays.copyOf(tokens, prompt));
        float[][] decoded = new float[end - prompt][];
        for (int i = prompt; i < end; i++) {
          decoded[i - prompt] = session.step(cache, LogitsRequest.LAST, tokens[i]).logits()[0];
        }
        Tolerances.OTHER_ORDER.assertClose(
            "prompt of " + prompt, Arrays.copyOfRange(prefilled, prompt, end), decoded);
      }
    }
  }

  static Stream<Arguments> exactCaches() {
    CachePolicy allInWindow = new CachePolicy.Kivi(2, 2, 32, 1024, 0);
    CachePolicy sinkAndWindow = new CachePolicy.Kivi(2, 2, 64, 1024, 64);
    return formsAndPolicies()
        .map(arguments -> arguments.get()[0])
        .distinct()
        .flatMap(
            form ->
                Stream.of(CachePolicy.FP16, allInWindow, sinkAndWindow)
                    .map(policy -> Arguments.of(form, policy)));
  }

  @Test
  void aCopiedCacheGoesOnAlike() {
    ModelWeights weights = RandomModels.make(PLAIN, 31);
    try (BackendSession session =
        open(weights, new CachePolicy.Kivi(2, 2, 32, 64, 0), 2, 300, 2, 9)) {
      int[] tokens = tokens(5, 200);
      SequenceCache first = session.newSequence();
      SequenceCache second = session.newSequence();
      session.step(first, LogitsRequest.NONE, tokens);
      session.copy(first, second);
      for (int i = 0; i < 70; i++) {
        float[] expected = session.step(first, LogitsRequest.LAST, tokens[i]).logits()[0];
        assertArrayEquals(
            expected, session.step(second, LogitsRequest.LAST, tokens[i]).logits()[0]);
      }
    }
  }

  @Test
  void aBrokenRowFailsAlone() {
    ModelWeights weights = RandomModels.make(PLAIN, 37);
    ModelWeights broken = withNanEmbedding(weights, 66);
    try (BackendSession session = open(broken, CachePolicy.FP16, 3, 64, 2, 0)) {
      List<StepOutput.SequenceOutput> outputs =
          session.step(
              List.of(
                  new BackendSession.Feed(session.newSequence(), LogitsRequest.LAST, 1, 2, 3),
                  new BackendSession.Feed(session.newSequence(), LogitsRequest.LAST, 1, 66, 3),
                  new BackendSession.Feed(session.newSequence(), LogitsRequest.LAST, 1, 2, 3)));
      StepOutput.Failure failure = assertInstanceOf(StepOutput.Failure.class, outputs.get(1));
      assertEquals(ErrorCode.NUMERIC_FAILURE, failure.error().code());
      StepOutput.Token first = assertInstanceOf(StepOutput.Token.class, outputs.get(0));
      StepOutput.Token last = assertInstanceOf(StepOutput.Token.class, outputs.get(2));
      assertArrayEquals(first.logits()[0], last.logits()[0]);
    }
  }

  @Test
  void givesTheLogitsAskedFor() {
    ModelWeights weights = RandomModels.make(PLAIN, 41);
    int[] tokens = tokens(3, 100);
    try (BackendSession session = open(weights, CachePolicy.FP16, 3, 128, 2, 0)) {
      StepOutput.Token none = session.step(session.newSequence(), LogitsRequest.NONE, tokens);
      StepOutput.Token last = session.step(session.newSequence(), LogitsRequest.LAST, tokens);
      StepOutput.Token all = session.step(session.newSequence(), LogitsRequest.ALL, tokens);
      assertEquals(0, none.logits().length);
      assertEquals(1, last.logits().length);
      assertEquals(100, all.logits().length);
      assertArrayEquals(last.logits()[0], all.logits()[99]);
      assertEquals(Tolerances.argmax(last.logits()[0]), none.token());
      assertEquals(none.token(), last.token());
      assertEquals(none.token(), all.token());
    }
  }

  @Test
  void refusesStepsOutsideThePlan() {
    ModelWeights weights = RandomModels.make(PLAIN, 43);
    try (BackendSession session = open(weights, CachePolicy.FP16, 1, 32, 1, 0)) {
      SequenceCache cache = session.newSequence();
      assertRefused(session, cache, 67);
      assertRefused(session, cache, -1);
      assertRefused(session, cache);
      session.step(cache, LogitsRequest.NONE, 1, 2);
      assertRefused(session, cache, 1, 2);
      assertRefused(session, session.newSequence(), 1);
    }
  }

  private static void assertRefused(BackendSession session, SequenceCache cache, int... tokens) {
    SequenceStep step = new SequenceStep(cache, tokens, new GreedySampler(), LogitsRequest.NONE);
    StepBatch batch = new StepBatch(List.of(step));
    BulkgenException refused =
        assertThrows(BulkgenException.class, () -> session.backend().forward(batch));
    assertEquals(ErrorCode.INTERNAL, refused.code());
  }

  /**
   * Logits of the sequences by their number: [order][1 + DECODED][vocabSize].
   *
   * @param staggered each joins three steps after the one before, so that prefills meet decodes
   */
  private static List<float[][]> run(
      BackendSession session, List<Integer> order, boolean staggered) {
    List<float[][]> logits = new ArrayList<>();
    List<SequenceCache> caches = new ArrayList<>();
    for (int i = 0; i < order.size(); i++) {
      logits.add(new float[1 + DECODED][]);
      caches.add(session.newSequence());
    }
    int[] done = new int[order.size()];
    for (int step = 0; Arrays.stream(done).anyMatch(count -> count <= DECODED); step++) {
      List<BackendSession.Feed> feeds = new ArrayList<>();
      List<Integer> fed = new ArrayList<>();
      for (int i = 0; i < order.size(); i++) {
        if (done[i] <= DECODED && (!staggered || step >= 3 * i)) {
          int[] all = tokens(order.get(i), PROMPTS[order.get(i)] + DECODED);
          int prompt = PROMPTS[order.get(i)];
          int[] tokens =
              done[i] == 0 ? Arrays.copyOf(all, prompt) : new int[] {all[prompt + done[i] - 1]};
          feeds.add(new BackendSession.Feed(caches.get(i), LogitsRequest.LAST, tokens));
          fed.add(i);
        }
      }
      List<StepOutput.SequenceOutput> outputs = session.step(feeds);
      for (int f = 0; f < fed.size(); f++) {
        int i = fed.get(f);
        logits.get(i)[done[i]++] = ((StepOutput.Token) outputs.get(f)).logits()[0];
      }
    }
    return logits;
  }

  protected static void assertSameBits(float[][] expected, float[][] actual, String what) {
    assertEquals(expected.length, actual.length, what);
    for (int i = 0; i < expected.length; i++) {
      // Compares bits: −0 is not 0.
      if (!Arrays.equals(expected[i], actual[i])) {
        assertArrayEquals(expected[i], actual[i], what + ", token " + i);
      }
    }
  }

  static int[] tokens(long seed, int count) {
    return new SplittableRandom(seed).ints(count, 0, 66).toArray();
  }

  static ModelWeights withNanEmbedding(ModelWeights weights, int token) {
    return new ModelWeights(
        weights.config(),
        RandomModels.withRow(weights.embedding(), token, Float.NaN),
        weights.layers(),
        weights.finalNorm(),
        weights.head());
  }

  private BackendSession open(
      ModelWeights weights,
      CachePolicy policy,
      int sequences,
      int length,
      int threads,
      long shuffle) {
    CacheLayout layout = CacheLayout.of(policy, weights.config());
    return new BackendSession(opener(), weights, layout, sequences, length, threads, shuffle);
  }
}
