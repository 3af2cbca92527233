package dev.bulkgen.backend;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Tolerances;
import dev.bulkgen.backend.SequenceStep.Kind;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.LogProbs;
import dev.bulkgen.sampling.PhiloxRandom;
import dev.bulkgen.sampling.Sampler;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import dev.bulkgen.sampling.TokenLogProbs;
import dev.bulkgen.sampling.TokenSampler;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Prompts that are scored: what their rows say of the tokens that come next. */
public abstract class AbstractTestScoring extends AbstractTestPromptParts {
  private static final int FED = 229;
  private static final int FIRST = 70;

  static Stream<Arguments> exactAndCoded() {
    return formsAndPolicies().limit(3);
  }

  /** More rows than there is room for logits of, beside a sequence that generates. */
  @ParameterizedTest
  @MethodSource("exactAndCoded")
  void scoresAreThoseOfTheLogits(RandomModels.Form form, CachePolicy policy) {
    ModelWeights weights = RandomModels.make(form, 81);
    CacheLayout layout = CacheLayout.of(policy, weights.config());
    int[] tokens = tokens(82, FED + 1);
    CacheCapacity room = BackendSession.room(layout, 3, FED + 3, 3 * FED);
    try (BackendSession session = new BackendSession(opener(), weights, layout, room, 2, 5)) {
      SequenceCache neighbour = session.newSequence();
      session.step(neighbour, LogitsRequest.NONE, tokens(83, 40));
      int[] fed = Arrays.copyOf(tokens, FED);
      SequenceStep scored =
          SequenceStep.scored(
              session.newSequence(),
              fed,
              Arrays.copyOfRange(tokens, FIRST, FED + 1),
              Kind.PROMPT_END);
      SequenceStep all =
          new SequenceStep(session.newSequence(), fed, new GreedySampler(), LogitsRequest.ALL);
      SequenceStep decode =
          new SequenceStep(neighbour, new int[] {7}, new GreedySampler(), LogitsRequest.LAST);
      List<StepOutput.SequenceOutput> outputs =
          session.submitSteps(List.of(decode, scored, all)).await().sequences();
      assertInstanceOf(StepOutput.Token.class, outputs.get(0));
      StepOutput.Scored scores = assertInstanceOf(StepOutput.Scored.class, outputs.get(1));
      float[][] logits = ((StepOutput.Token) outputs.get(2)).logits();
      assertEquals(FED + 1 - FIRST, scores.logProbs().length);
      for (int i = 0; i < scores.logProbs().length; i++) {
        float[] row = logits[FIRST - 1 + i];
        int target = tokens[FIRST + i];
        assertEquals(Tolerances.argmax(row), scores.likeliest()[i], "row " + i);
        float definition = LogProbs.of(row, 0, row.length).of(row[target]);
        assertEquals(definition, scores.logProbs()[i], "the bits of row " + i);
        double expected = logSoftmax(row, target);
        assertEquals(expected, scores.logProbs()[i], 1e-5 * -expected, "row " + i);
      }
    }
  }

  private static double logSoftmax(float[] row, int token) {
    double max = row[Tolerances.argmax(row)];
    double sum = 0;
    for (float logit : row) {
      sum += Math.exp(logit - max);
    }
    return row[token] - max - Math.log(sum);
  }

  /** Wherever a prompt is cut, whatever it shares, and whoever stands beside it. */
  @ParameterizedTest
  @MethodSource("exactAndCoded")
  void partsScoreWhatTheWholeScores(RandomModels.Form form, CachePolicy policy) {
    ModelWeights weights = RandomModels.make(form, 84);
    CacheLayout layout = CacheLayout.of(policy, weights.config());
    int[] tokens = tokens(85, FED + 1);
    int block = layout.promptAlignment();
    int first = block + FIRST;
    int[][] cuts = {{}, {block}, {2 * block, 192}, {64, 128, 192}};
    CacheCapacity room = BackendSession.room(layout, 2, FED, FED + 32);
    try (BackendSession session = new BackendSession(opener(), weights, layout, room, 2, 7)) {
      StepOutput.Scored whole = null;
      BackendSession.Prefix kept = null;
      for (int[] cut : cuts) {
        SequenceCache cache = kept == null ? session.newSequence() : session.begin(kept, FED);
        if (kept == null) {
          session.stage(cache, block);
        }
        StepOutput.Scored scored = scored(session, cache, tokens, first, cut);
        if (kept == null) {
          kept = session.keep(cache, block, FED);
          whole = scored;
        }
        assertArrayEquals(whole.logProbs(), scored.logProbs(), Arrays.toString(cut));
        assertArrayEquals(whole.likeliest(), scored.likeliest(), Arrays.toString(cut));
        session.release(cache);
      }
      session.release(kept);
      assertTrue(session.isIdle());
    }
  }

  /** Feeds all but the last token in parts that end at the {@code cuts} beyond what is cached. */
  private static StepOutput.Scored scored(
      BackendSession session, SequenceCache cache, int[] tokens, int first, int[] cuts) {
    int fed = tokens.length - 1;
    float[] logProbs = new float[tokens.length - first];
    int[] likeliest = new int[logProbs.length];
    int done = 0;
    while (cache.length() < fed) {
      int from = cache.length();
      int to = Arrays.stream(cuts).filter(cut -> cut > from).findFirst().orElse(fed);
      int[] targets =
          Arrays.copyOfRange(tokens, Math.min(Math.max(first, from + 1), to + 1), to + 1);
      SequenceStep step =
          SequenceStep.scored(
              cache,
              Arrays.copyOfRange(tokens, from, to),
              targets,
              to == fed ? Kind.PROMPT_END : Kind.PROMPT_PART);
      StepOutput.SequenceOutput output =
          session.submitSteps(List.of(step)).await().sequences().get(0);
      if (targets.length == 0) {
        assertEquals(0, assertInstanceOf(StepOutput.Fed.class, output).logits().length);
        continue;
      }
      StepOutput.Scored part = assertInstanceOf(StepOutput.Scored.class, output);
      System.arraycopy(part.logProbs(), 0, logProbs, done, targets.length);
      System.arraycopy(part.likeliest(), 0, likeliest, done, targets.length);
      done += targets.length;
    }
    assertEquals(logProbs.length, done);
    return new StepOutput.Scored(logProbs, likeliest);
  }

  /** What is told of tokens that are drawn, on the host (too many are held back) and elsewhere. */
  @ParameterizedTest
  @ValueSource(ints = {3, 66})
  void drawnTokensTellTheirLogProbabilities(int stops) {
    ModelWeights weights = RandomModels.make(PLAIN, 88);
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, weights.config());
    SamplingParams params =
        new SamplingParamsBuilder()
            .temperature(0.7)
            .repetitionPenalty(1.5)
            .minTokens(9)
            .stopTokenIds(IntStream.range(0, stops).boxed().collect(Collectors.toSet()))
            .logprobs(4)
            .build();
    int[] prompt = tokens(89, 20);
    Sampler sampler = new TokenSampler(params, prompt, Set.of(), new PhiloxRandom(1, "k", 0));
    try (BackendSession session = new BackendSession(opener(), weights, layout, 1, 64, 2, 0)) {
      SequenceCache cache = session.newSequence();
      int[] fed = prompt;
      for (int step = 0; step < 6; step++) {
        Kind kind = step == 0 ? Kind.PROMPT_END : Kind.DECODE;
        StepOutput.Token token =
            (StepOutput.Token)
                session
                    .step(
                        List.of(
                            new BackendSession.Feed(cache, sampler, LogitsRequest.LAST, kind, fed)))
                    .get(0);
        float[] row = token.logits()[0];
        LogProbs expected = LogProbs.of(row, 0, row.length);
        TokenLogProbs told = token.logProbs().orElseThrow();
        assertEquals(expected.of(row[token.token()]), told.logProb(), "step " + step);
        int[] likeliest =
            IntStream.range(0, row.length)
                .boxed()
                .sorted(Comparator.comparingDouble(i -> -row[i]))
                .limit(4)
                .mapToInt(Integer::intValue)
                .toArray();
        assertArrayEquals(likeliest, told.topTokens(), "step " + step);
        for (int i = 0; i < 4; i++) {
          assertEquals(expected.of(row[likeliest[i]]), told.topLogProbs()[i]);
        }
        fed = new int[] {token.token()};
      }
    }
  }

  @Test
  void aBrokenTextFailsAlone() {
    ModelWeights weights = withNanEmbedding(RandomModels.make(PLAIN, 86), 66);
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, weights.config());
    try (BackendSession session = new BackendSession(opener(), weights, layout, 2, 64, 2, 0)) {
      List<SequenceStep> steps = new ArrayList<>();
      for (int second : new int[] {2, 66}) {
        int[] fed = {1, second, 3};
        steps.add(
            SequenceStep.scored(
                session.newSequence(), fed, new int[] {second, 3, 4}, Kind.PROMPT_END));
      }
      List<StepOutput.SequenceOutput> outputs = session.submitSteps(steps).await().sequences();
      assertInstanceOf(StepOutput.Scored.class, outputs.get(0));
      BulkgenException error = assertInstanceOf(StepOutput.Failure.class, outputs.get(1)).error();
      assertEquals(ErrorCode.NUMERIC_FAILURE, error.code());
    }
  }

  /** The residual stream is sound and the logits are not; in a prompt that comes in parts. */
  @Test
  void brokenLogitsTellTheirPosition() {
    ModelWeights sound = RandomModels.make(PLAIN, 90);
    ModelWeights weights =
        new ModelWeights(
            sound.config(),
            sound.embedding(),
            sound.layers(),
            sound.finalNorm(),
            new ModelWeights.Linear(
                RandomModels.withRow(sound.head().weight(), 5, Float.NaN), sound.head().bias()));
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, weights.config());
    int[] tokens = tokens(91, 71);
    try (BackendSession session = new BackendSession(opener(), weights, layout, 1, 72, 2, 0)) {
      SequenceCache cache = session.newSequence();
      int[] part = Arrays.copyOf(tokens, 64);
      session
          .submitSteps(List.of(SequenceStep.scored(cache, part, new int[0], Kind.PROMPT_PART)))
          .await();
      SequenceStep end =
          SequenceStep.scored(
              cache,
              Arrays.copyOfRange(tokens, 64, 70),
              Arrays.copyOfRange(tokens, 67, 71),
              Kind.PROMPT_END);
      StepOutput.SequenceOutput output =
          session.submitSteps(List.of(end)).await().sequences().get(0);
      BulkgenException error = assertInstanceOf(StepOutput.Failure.class, output).error();
      assertEquals(ErrorCode.NUMERIC_FAILURE, error.code());
      assertTrue(error.getMessage().contains("position 66 "), error.getMessage());
    }
  }

  @Test
  void refusesTargetsThatNoRowHas() {
    ModelWeights weights = RandomModels.make(PLAIN, 87);
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, weights.config());
    try (BackendSession session = new BackendSession(opener(), weights, layout, 1, 64, 1, 0)) {
      SequenceCache cache = session.newSequence();
      for (int[] targets : new int[][] {{1, 2, 3}, {67}, {-1}}) {
        SequenceStep step = SequenceStep.scored(cache, new int[] {1, 2}, targets, Kind.PROMPT_END);
        BulkgenException refused =
            assertThrows(BulkgenException.class, () -> session.submitSteps(List.of(step)).await());
        assertEquals(ErrorCode.INTERNAL, refused.code());
      }
    }
  }
}
