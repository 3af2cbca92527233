package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.Sampler;
import dev.bulkgen.tensor.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Prompts in parts, beginnings that are shared, and sequences that were swapped out, with
 * penalties: all give the bits of a prompt that came whole and stayed.
 */
class TestPromptParts {
  private static final int DECODED = 40;
  private static final int[] PROMPT = tokens(1, 230);
  private static final int[] OTHER = tokens(2, 250);
  private static final int SHARED = 160;

  private final ModelWeights weights =
      RandomModels.make(
          new RandomModels.Form(
              4, 2, 16, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, false, 0, DType.BF16),
          3);

  /** Bits of logits of prompt and output, and the output. */
  private record Generated(List<float[]> logits, List<Integer> tokens) {
    Generated() {
      this(new ArrayList<>(), new ArrayList<>());
    }

    void add(StepOutput.SequenceOutput output) {
      if (output instanceof StepOutput.Fed fed) {
        logits.addAll(Arrays.asList(fed.logits()));
        return;
      }
      StepOutput.Token token = assertInstanceOf(StepOutput.Token.class, output);
      logits.addAll(Arrays.asList(token.logits()));
      tokens.add(token.token());
    }

    int last() {
      return tokens.get(tokens.size() - 1);
    }

    void assertEquals(Generated other, int skipped, String what) {
      Generated expected = new Generated(logits.subList(skipped, logits.size()), tokens);
      assertArrayEquals(expected.logits.toArray(), other.logits.toArray(), what);
      org.junit.jupiter.api.Assertions.assertEquals(expected.tokens, other.tokens, what);
    }
  }

  static Stream<CachePolicy> policies() {
    return Stream.of(
        CachePolicy.FP16,
        new CachePolicy.Kivi(2, 2, 16, 32, 0),
        new CachePolicy.Kivi(4, 2, 48, 48, 48),
        new CachePolicy.Kivi(2, 4, 32, 128, 0));
  }

  @ParameterizedTest
  @MethodSource("policies")
  void testPartsGiveTheBitsOfTheWhole(CachePolicy policy) {
    Generated whole = whole(policy);
    try (PartsSession session = session(policy, 160)) {
      SequenceCache cache = session.sequence(1);
      Sampler sampler = PartsSession.sampler(PROMPT, PartsSession.PENALIZED);
      SequenceCache neighbour = session.sequence(2);
      Sampler other = PartsSession.sampler(OTHER, PartsSession.PENALIZED);
      Generated parts = new Generated();
      int[] cuts = {32, 96, 192, 230};
      int[] otherCuts = {64, 128, 160, 250};
      for (int i = 0; i < cuts.length; i++) {
        parts.add(
            session
                .run(
                    session.part(neighbour, OTHER, otherCuts[i], other),
                    session.part(cache, PROMPT, cuts[i], sampler))
                .get(1));
      }
      decode(session, cache, sampler, parts, DECODED);
      whole.assertEquals(parts, 0, "in parts");
    }
  }

  @ParameterizedTest
  @MethodSource("policies")
  void testASharedBeginningGivesTheBitsOfAnOwn(CachePolicy policy) {
    Generated whole = whole(policy);
    try (PartsSession session = session(policy, 300)) {
      SequenceCache first = session.sequence(0);
      int[] longer = Arrays.copyOf(PROMPT, 240);
      Sampler firstSampler = PartsSession.sampler(longer, PartsSession.PENALIZED);
      session.run(session.part(first, longer, longer.length, firstSampler));
      // All but the window is in complete pages once the beginning alone is cached.
      int keys = session.layout.keysInPages(SHARED);
      int values = session.layout.valuesInPages(SHARED);
      int complete = Math.min(keys, values) / session.layout.pageTokens();
      Sampler sampler = PartsSession.sampler(PROMPT, PartsSession.PENALIZED);
      SequenceCache second = session.shareBeginning(first, 2, SHARED, complete);
      Sampler thirdSampler = PartsSession.sampler(PROMPT, PartsSession.PENALIZED);
      int inPages = session.layout.isExact() ? 64 / session.layout.pageTokens() : 0;
      SequenceCache third = session.shareBeginning(first, 1, 64, inPages);
      Generated shared = new Generated();
      Generated recoded = new Generated();
      List<StepOutput.SequenceOutput> outputs =
          session.run(
              session.part(second, PROMPT, PROMPT.length, sampler),
              session.part(third, PROMPT, PROMPT.length, thirdSampler));
      shared.add(outputs.get(0));
      recoded.add(outputs.get(1));
      decode(session, second, sampler, shared, DECODED);
      decode(session, third, thirdSampler, recoded, DECODED);
      whole.assertEquals(shared, SHARED, "shared");
      whole.assertEquals(recoded, 64, "shared, not in pages");
    }
  }

  @ParameterizedTest
  @MethodSource("policies")
  void testASwappedSequenceGoesOnAlike(CachePolicy policy) {
    Generated whole = whole(policy);
    try (PartsSession session = session(policy, 250)) {
      SequenceCache cache = session.sequence(0);
      Sampler sampler = PartsSession.sampler(PROMPT, PartsSession.PENALIZED);
      Generated swapped = new Generated();
      swapped.add(session.run(session.part(cache, PROMPT, PROMPT.length, sampler)).get(0));
      decode(session, cache, sampler, swapped, 13);
      SequenceCache away = session.swapOut(cache, 1);
      // Another has its slot and its pages meanwhile.
      SequenceCache neighbour = session.sequence(0);
      Sampler other = PartsSession.sampler(OTHER, PartsSession.PENALIZED);
      Generated neighbours = new Generated();
      neighbours.add(session.run(session.part(neighbour, OTHER, OTHER.length, other)).get(0));
      SequenceCache back = session.swapIn(away, 2);
      decode(session, back, sampler, swapped, DECODED);
      whole.assertEquals(swapped, 0, "swapped");
      decode(session, neighbour, other, neighbours, 20);
      assertEquals(20, neighbours.tokens.size());
    }
  }

  private Generated whole(CachePolicy policy) {
    try (PartsSession session = session(policy, 230)) {
      SequenceCache cache = session.sequence(0);
      Sampler sampler = PartsSession.sampler(PROMPT, PartsSession.PENALIZED);
      Generated whole = new Generated();
      whole.add(session.run(session.part(cache, PROMPT, PROMPT.length, sampler)).get(0));
      decode(session, cache, sampler, whole, DECODED);
      return whole;
    }
  }

  private PartsSession session(CachePolicy policy, int prefillTokens) {
    return new PartsSession(weights, CacheLayout.of(policy, weights.config()), prefillTokens);
  }

  /** Until there are {@code count} tokens. */
  private static void decode(
      PartsSession session, SequenceCache cache, Sampler sampler, Generated to, int count) {
    while (to.tokens.size() < count) {
      SequenceStep step = session.decode(cache, sampler, to.last());
      to.add(session.run(step).get(0));
    }
  }

  private static int[] tokens(long seed, int count) {
    return new SplittableRandom(seed).ints(count, 0, 66).toArray();
  }
}
