package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.backend.SequenceStep.Kind;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.PhiloxRandom;
import dev.bulkgen.sampling.Sampler;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import dev.bulkgen.sampling.TokenSampler;
import dev.bulkgen.tensor.DType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Penalties look at the whole prompt and output, however a sequence came to its slot. */
class TestTokenCounter {
  static final SamplingParams PENALIZED =
      new SamplingParamsBuilder()
          .temperature(0.8)
          .topK(40)
          .repetitionPenalty(1.3)
          .frequencyPenalty(0.2)
          .build();

  private static final int GENERATED = 30;
  private static final int[] PROMPT = new SplittableRandom(1).ints(110, 0, 66).toArray();
  private static final int[] OTHER = new SplittableRandom(2).ints(90, 0, 66).toArray();

  private final ModelWeights weights =
      RandomModels.make(
          new RandomModels.Form(
              4, 2, 16, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, false, 0, DType.BF16),
          3);
  private final CacheLayout layout =
      CacheLayout.of(new CachePolicy.Kivi(2, 2, 16, 16, 0), weights.config());

  static Sampler sampler(int[] prompt, SamplingParams params) {
    return new TokenSampler(params, prompt, Set.of(), new PhiloxRandom(5, "row", 0));
  }

  static BackendSession.Feed feed(SequenceCache cache, Sampler sampler, Kind kind, int... tokens) {
    return new BackendSession.Feed(cache, sampler, LogitsRequest.NONE, kind, tokens);
  }

  @Test
  void testPromptsInPartsCountAsAWhole() {
    List<Integer> expected = whole(PENALIZED);
    assertNotEquals(whole(new SamplingParamsBuilder().temperature(0.8).topK(40).build()), expected);
    try (BackendSession session = session()) {
      // Another has counted in the slot before.
      SequenceCache before = session.newSequence();
      finish(session, before, sampler(OTHER, PENALIZED), OTHER, 5);
      session.release(before);
      SequenceCache cache = session.newSequence();
      assertEquals(before.slot(), cache.slot());
      Sampler sampler = sampler(PROMPT, PENALIZED);
      for (int end : new int[] {32, 96}) {
        int[] part = Arrays.copyOfRange(PROMPT, cache.length(), end);
        session.step(List.of(feed(cache, sampler, Kind.PROMPT_PART, part)));
      }
      assertEquals(expected, finish(session, cache, sampler, PROMPT, GENERATED));
    }
  }

  @Test
  void testSharedBeginningsCountToo() {
    try (BackendSession session = session()) {
      SequenceCache creator = session.newSequence();
      session.stage(creator, 64);
      int[] longer = Arrays.copyOf(PROMPT, 120);
      finish(session, creator, sampler(longer, PENALIZED), longer, 1);
      BackendSession.Prefix prefix = session.keep(creator, 64, longer.length);
      SequenceCache cache = session.begin(prefix, PROMPT.length);
      List<Integer> tokens = finish(session, cache, sampler(PROMPT, PENALIZED), PROMPT, GENERATED);
      assertEquals(whole(PENALIZED), tokens);
    }
  }

  @Test
  void testSwappedAndCopiedSequencesGoOnCounting() {
    List<Integer> expected = whole(PENALIZED);
    try (BackendSession session = session()) {
      SequenceCache cache = session.newSequence();
      Sampler sampler = sampler(PROMPT, PENALIZED);
      List<Integer> tokens = finish(session, cache, sampler, PROMPT, 13);
      SequenceCache away = session.swapOut(cache);
      SequenceCache neighbour = session.newSequence();
      Sampler other = sampler(OTHER, PENALIZED);
      List<Integer> others = finish(session, neighbour, other, OTHER, 7);
      SequenceCache back = session.swapIn(away);
      decode(session, back, sampler, tokens, GENERATED);
      assertEquals(expected, tokens);
      // A second sample of the neighbour: the same draws, told of the same tokens.
      SequenceCache twin = session.newSequence();
      session.copy(neighbour, twin);
      Sampler twins = sampler(OTHER, PENALIZED);
      others.forEach(twins::accept);
      List<Integer> twinned = new ArrayList<>(others);
      decode(session, neighbour, other, others, GENERATED);
      decode(session, twin, twins, twinned, GENERATED);
      assertEquals(others, twinned);
    }
  }

  private List<Integer> whole(SamplingParams params) {
    try (BackendSession session = session()) {
      SequenceCache cache = session.newSequence();
      return finish(session, cache, sampler(PROMPT, params), PROMPT, GENERATED);
    }
  }

  private BackendSession session() {
    return new BackendSession(
        CudaSessions.opener(Precision.ONE_PIECE),
        weights,
        layout,
        BackendSession.room(layout, 3, 160, 128),
        1,
        4);
  }

  /** The rest of the prompt, then tokens until there are {@code count}. */
  private static List<Integer> finish(
      BackendSession session, SequenceCache cache, Sampler sampler, int[] prompt, int count) {
    int[] rest = Arrays.copyOfRange(prompt, cache.length(), prompt.length);
    List<Integer> tokens = new ArrayList<>();
    tokens.add(token(session, feed(cache, sampler, Kind.PROMPT_END, rest)));
    decode(session, cache, sampler, tokens, count);
    return tokens;
  }

  private static void decode(
      BackendSession session,
      SequenceCache cache,
      Sampler sampler,
      List<Integer> tokens,
      int count) {
    while (tokens.size() < count) {
      int last = tokens.get(tokens.size() - 1);
      tokens.add(token(session, feed(cache, sampler, Kind.DECODE, last)));
    }
  }

  private static int token(BackendSession session, BackendSession.Feed feed) {
    return ((StepOutput.Token) session.step(List.of(feed)).get(0)).token();
  }
}
