package dev.bulkgen.backend;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.SequenceStep.Kind;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.PhiloxRandom;
import dev.bulkgen.sampling.Sampler;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.TokenSampler;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What a scheduler may do to a sequence without changing a bit of it (P1): cut its prompt, let it
 * share a beginning, move it to host memory and back, plan a step before the one before is known.
 */
public abstract class AbstractTestPromptParts extends AbstractTestBackend {
  private static final int DECODED = 40;

  /** Streams of the property test; each takes a fraction of a second on a CPU. */
  protected int randomStreams() {
    return 25;
  }

  @ParameterizedTest
  @MethodSource("formsAndPolicies")
  void partsGiveWhatTheWholeGives(RandomModels.Form form, CachePolicy policy) {
    ModelWeights weights = RandomModels.make(form, 51);
    CacheLayout layout = CacheLayout.of(policy, weights.config());
    int[] tokens = tokens(61, 229 + DECODED);
    float[][] whole = FedSequence.alone(opener(), weights, layout, tokens, 229);
    int[][] cuts = {{32}, {64, 96, 160}, {192, 224}, {32, 64, 96, 128, 160, 192, 224}};
    CacheCapacity room = BackendSession.room(layout, cuts.length, tokens.length, 320);
    try (BackendSession session = new BackendSession(opener(), weights, layout, room, 2, 3)) {
      List<FedSequence> parts = start(session, cuts.length, tokens, 229);
      FedSequence.run(session, parts, cuts);
      for (int i = 0; i < cuts.length; i++) {
        assertSameBits(whole, parts.get(i).logits, "cut at " + Arrays.toString(cuts[i]));
        session.release(parts.get(i).cache());
      }
      assertTrue(session.isIdle());
    }
  }

  private static List<FedSequence> start(
      BackendSession session, int count, int[] tokens, int prompt) {
    List<FedSequence> sequences = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      sequences.add(new FedSequence(tokens, prompt));
      sequences.get(i).start(session.newSequence());
    }
    return sequences;
  }

  /** Longer than all prompt tokens of a step, and than a split of the context. */
  @ParameterizedTest
  @MethodSource("longContexts")
  void promptsMayBeLongerThanAStep(RandomModels.Form form, CachePolicy policy) {
    ModelWeights weights = RandomModels.make(form, 52);
    CacheLayout layout = CacheLayout.of(policy, weights.config());
    int[] tokens = tokens(62, 710);
    float[][] whole = FedSequence.alone(opener(), weights, layout, tokens, 700);
    CacheCapacity room = BackendSession.room(layout, 1, tokens.length, 256);
    try (BackendSession session = new BackendSession(opener(), weights, layout, room, 3, 4)) {
      List<FedSequence> parts = start(session, 1, tokens, 700);
      FedSequence.run(session, parts, new int[][] {{256, 512}});
      assertSameBits(whole, parts.get(0).logits, "in parts of 256");
    }
  }

  @ParameterizedTest
  @MethodSource("formsAndPolicies")
  void aSharedPrefixGivesWhatAnOwnOneGives(RandomModels.Form form, CachePolicy policy) {
    ModelWeights weights = RandomModels.make(form, 53);
    CacheLayout layout = CacheLayout.of(policy, weights.config());
    int prefix = 128;
    // The creator's, one whose window reaches back into the prefix, two long ones.
    int[] prompts = {prefix + 61, prefix + 5, prefix + 150, prefix + 64};
    int[][] cuts = {{}, {}, {prefix + 32}, {}};
    List<FedSequence> all = new ArrayList<>();
    List<float[][]> unshared = new ArrayList<>();
    for (int prompt : prompts) {
      int[] tokens = tokens(64 + prompt, prompt + DECODED);
      System.arraycopy(tokens(63, prefix), 0, tokens, 0, prefix);
      all.add(new FedSequence(tokens, prompt));
      unshared.add(FedSequence.alone(opener(), weights, layout, tokens, prompt));
    }
    CacheCapacity room = BackendSession.room(layout, 3, prefix + 150 + DECODED, 256);
    try (BackendSession session = new BackendSession(opener(), weights, layout, room, 2, 5)) {
      FedSequence creator = all.get(0);
      creator.start(session.newSequence());
      session.stage(creator.cache(), prefix);
      BackendSession.Feed whole = creator.feed(prompts[0]);
      session.step(List.of(whole));
      BackendSession.Prefix kept = session.keep(creator.cache(), prefix, prompts[0]);
      session.releaseStaging(creator.cache());
      // Two share while the creator decodes, one more when all of them are gone.
      all.get(1).start(session.begin(kept, prompts[1]));
      all.get(2).start(session.begin(kept, prompts[2]));
      FedSequence.run(session, all.subList(0, 3), cuts);
      all.subList(0, 3).forEach(sequence -> session.release(sequence.cache()));
      all.get(3).start(session.begin(kept, prompts[3]));
      FedSequence.run(session, all.subList(3, 4), new int[][] {cuts[3]});
      for (int i = 0; i < prompts.length; i++) {
        int first = i == 0 ? prompts[0] : prefix;
        assertSameBits(
            Arrays.copyOfRange(unshared.get(i), first, unshared.get(i).length),
            Arrays.copyOfRange(all.get(i).logits, first, all.get(i).logits.length),
            "prompt of " + prompts[i]);
      }
      session.release(all.get(3).cache());
      session.release(kept);
      assertTrue(session.isIdle());
    }
  }

  /** Together they decode over more tokens than all pages hold. */
  @Test
  void manyMayShareALongPrefix() {
    ModelWeights weights = RandomModels.make(PLAIN, 60);
    CacheLayout layout = CacheLayout.of(new CachePolicy.Kivi(2, 2, 32, 32, 0), weights.config());
    int prefix = 1024;
    int prompt = prefix + 6;
    int sharers = 8;
    int[] tokens = tokens(74, prompt + 2);
    float[][] unshared = FedSequence.alone(opener(), weights, layout, tokens, prompt);
    CacheCapacity room =
        new CacheCapacity(
            layout.layers() * (layout.pagesPerLayer(prompt) + 3 * sharers),
            sharers,
            prompt,
            prompt + 2,
            layout.layers() * (layout.staging().pagesPerLayer(prompt)),
            0,
            0);
    try (BackendSession session = new BackendSession(opener(), weights, layout, room, 2, 8)) {
      SequenceCache creator = session.newSequence();
      session.stage(creator, prefix);
      session.step(creator, LogitsRequest.NONE, Arrays.copyOf(tokens, prompt));
      BackendSession.Prefix kept = session.keep(creator, prefix, prompt);
      session.release(creator);
      List<FedSequence> all = new ArrayList<>();
      for (int i = 0; i < sharers; i++) {
        all.add(new FedSequence(tokens, prompt));
        all.get(i).start(session.begin(kept, prompt));
      }
      FedSequence.run(session, all, new int[sharers][0]);
      for (FedSequence sequence : all) {
        assertSameBits(
            Arrays.copyOfRange(unshared, prefix, unshared.length),
            Arrays.copyOfRange(sequence.logits, prefix, unshared.length),
            "one of many");
      }
    }
  }

  @ParameterizedTest
  @MethodSource("formsAndPolicies")
  void aSwappedSequenceGoesOnAlike(RandomModels.Form form, CachePolicy policy) {
    ModelWeights weights = RandomModels.make(form, 54);
    CacheLayout layout = CacheLayout.of(policy, weights.config());
    int[][] tokens = {tokens(71, 190), tokens(72, 150), tokens(73, 170)};
    int[] prompts = {150, 111, 20};
    List<FedSequence> all = new ArrayList<>();
    List<float[][]> unswapped = new ArrayList<>();
    for (int i = 0; i < prompts.length; i++) {
      all.add(new FedSequence(tokens[i], prompts[i]));
      unswapped.add(FedSequence.alone(opener(), weights, layout, tokens[i], prompts[i]));
    }
    CacheCapacity room = BackendSession.room(layout, 2, 190, 300);
    try (BackendSession session = new BackendSession(opener(), weights, layout, room, 2, 6)) {
      FedSequence first = all.get(0);
      FedSequence second = all.get(1);
      FedSequence third = all.get(2);
      first.start(session.newSequence());
      second.start(session.newSequence());
      for (int i = 0; i < 11; i++) {
        feedAll(session, first, second);
      }
      first.start(session.swapOut(first.cache()));
      second.start(session.swapOut(second.cache()));
      third.start(session.newSequence());
      second.start(session.swapIn(second.cache()));
      for (int i = 0; i < 20; i++) {
        feedAll(session, third, second);
      }
      second.start(session.swapOut(second.cache()));
      first.start(session.swapIn(first.cache()));
      FedSequence.run(session, List.of(third, first), new int[2][0]);
      session.release(third.cache());
      second.start(session.swapIn(second.cache()));
      FedSequence.run(session, List.of(second), new int[1][0]);
      for (int i = 0; i < prompts.length; i++) {
        assertSameBits(unswapped.get(i), all.get(i).logits, "sequence " + i);
      }
    }
  }

  private static void feedAll(BackendSession session, FedSequence... sequences) {
    List<FedSequence> all = List.of(sequences);
    FedSequence.step(
        session,
        all,
        all.stream().map(sequence -> sequence.feed(sequence.promptLength())).toList());
  }

  /** Tokens of a step that is submitted before those it is fed with are known. */
  @Test
  void aStepMayBeSubmittedBeforeTheOneBeforeIsKnown() {
    ModelWeights weights = RandomModels.make(PLAIN, 55);
    CacheLayout layout = CacheLayout.of(new CachePolicy.Kivi(2, 2, 16, 32, 0), weights.config());
    int[] prompts = {40, 7, 100};
    int steps = 30;
    int[][] plain = new int[prompts.length][steps];
    int[][] ahead = new int[prompts.length][steps];
    CacheCapacity room = BackendSession.room(layout, prompts.length, 140, 200);
    for (int s = 0; s < prompts.length; s++) {
      try (BackendSession session = new BackendSession(opener(), weights, layout, room, 1, 0)) {
        SequenceCache cache = session.newSequence();
        Sampler sampler = sampler(s);
        int[] next = tokens(80 + s, prompts[s]);
        for (int i = 0; i < steps; i++) {
          Kind kind = i == 0 ? Kind.PROMPT_END : Kind.DECODE;
          next = new int[] {token(session, feed(cache, sampler, kind, next))};
          plain[s][i] = next[0];
        }
      }
    }
    try (BackendSession session = new BackendSession(opener(), weights, layout, room, 2, 7)) {
      List<SequenceCache> caches = new ArrayList<>();
      List<Sampler> samplers = new ArrayList<>();
      Backend.PendingStep before = null;
      for (int i = 0; i < steps + prompts.length; i++) {
        List<BackendSession.Feed> feeds = new ArrayList<>();
        for (int s = 0; s < Math.min(i, prompts.length); s++) {
          feeds.add(feed(caches.get(s), samplers.get(s), Kind.DECODE));
        }
        // One prompt a step joins those that decode.
        if (i < prompts.length) {
          caches.add(session.newSequence());
          samplers.add(sampler(i));
          int[] prompt = tokens(80 + i, prompts[i]);
          feeds.add(feed(caches.get(i), samplers.get(i), Kind.PROMPT_END, prompt));
        }
        Backend.PendingStep submitted = session.submit(feeds);
        if (before != null) {
          take(before.await(), i - 1, ahead);
        }
        before = submitted;
      }
      take(before.await(), steps + prompts.length - 1, ahead);
    }
    for (int s = 0; s < prompts.length; s++) {
      assertEquals(Arrays.toString(plain[s]), Arrays.toString(ahead[s]), "sequence " + s);
    }
  }

  private static void take(StepOutput output, int step, int[][] tokens) {
    for (int s = 0; s < output.sequences().size(); s++) {
      if (step - s < tokens[s].length) {
        tokens[s][step - s] = ((StepOutput.Token) output.sequences().get(s)).token();
      }
    }
  }

  private static BackendSession.Feed feed(
      SequenceCache cache, Sampler sampler, Kind kind, int... tokens) {
    return new BackendSession.Feed(cache, sampler, LogitsRequest.NONE, kind, tokens);
  }

  private static int token(BackendSession session, BackendSession.Feed feed) {
    return ((StepOutput.Token) session.step(List.of(feed)).get(0)).token();
  }

  /** Draws at temperature 1, on a device if there is one. */
  private static Sampler sampler(int row) {
    SamplingParams greedy = SamplingParams.GREEDY;
    SamplingParams params =
        new SamplingParams(
            greedy.maxTokens(),
            greedy.minTokens(),
            1,
            greedy.topP(),
            greedy.topK(),
            greedy.minP(),
            greedy.repetitionPenalty(),
            greedy.presencePenalty(),
            greedy.frequencyPenalty(),
            greedy.seed(),
            greedy.stop(),
            greedy.stopTokenIds(),
            greedy.ignoreEos(),
            greedy.n(),
            greedy.logprobs());
    return new TokenSampler(params, new int[0], Set.of(), new PhiloxRandom(3, "row " + row, 0));
  }

  /** Whoever has planned a step ahead of a failure hears of it again, and the others go on. */
  @Test
  void aFailureStaysWithASequenceThatIsPlannedAhead() {
    ModelWeights weights = RandomModels.make(PLAIN, 56);
    ModelWeights broken = withNanEmbedding(weights, 66);
    CacheLayout layout = CacheLayout.of(CachePolicy.KIVI2, weights.config());
    CacheCapacity room = BackendSession.room(layout, 2, 64, 64);
    try (BackendSession session = new BackendSession(opener(), broken, layout, room, 2, 0)) {
      SequenceCache bad = session.newSequence();
      SequenceCache good = session.newSequence();
      Sampler[] samplers = {sampler(0), sampler(1)};
      Backend.PendingStep first =
          session.submit(
              List.of(
                  feed(bad, samplers[0], Kind.PROMPT_END, 1, 66, 2),
                  feed(good, samplers[1], Kind.PROMPT_END, 1, 2, 3)));
      Backend.PendingStep second =
          session.submit(
              List.of(feed(bad, samplers[0], Kind.DECODE), feed(good, samplers[1], Kind.DECODE)));
      for (Backend.PendingStep pending : List.of(first, second)) {
        StepOutput output = pending.await();
        StepOutput.Failure failure =
            assertInstanceOf(StepOutput.Failure.class, output.sequences().get(0));
        assertEquals(ErrorCode.NUMERIC_FAILURE, failure.error().code());
        assertInstanceOf(StepOutput.Token.class, output.sequences().get(1));
      }
    }
  }

  @Test
  void aPartGivesTheLogitsAskedFor() {
    ModelWeights weights = RandomModels.make(PLAIN, 57);
    CacheLayout layout = CacheLayout.of(CachePolicy.KIVI4, weights.config());
    CacheCapacity room = BackendSession.room(layout, 3, 64, 128);
    try (BackendSession session = new BackendSession(opener(), weights, layout, room, 2, 0)) {
      int[] tokens = tokens(91, 32);
      List<BackendSession.Feed> feeds = new ArrayList<>();
      for (LogitsRequest request : LogitsRequest.values()) {
        feeds.add(
            new BackendSession.Feed(session.newSequence(), request, Kind.PROMPT_PART, tokens));
      }
      List<StepOutput.SequenceOutput> outputs = session.step(feeds);
      float[][] none = ((StepOutput.Fed) outputs.get(0)).logits();
      float[][] last = ((StepOutput.Fed) outputs.get(1)).logits();
      float[][] all = ((StepOutput.Fed) outputs.get(2)).logits();
      assertEquals(0, none.length);
      assertEquals(32, all.length);
      assertSameBits(new float[][] {all[31]}, last, "last");
    }
  }

  @Test
  void refusesWhatWouldWriteToSharedPages() {
    ModelWeights weights = RandomModels.make(PLAIN, 58);
    CacheLayout layout = CacheLayout.of(new CachePolicy.Kivi(2, 2, 32, 32, 0), weights.config());
    CacheCapacity room = BackendSession.room(layout, 3, 200, 200);
    try (BackendSession session = new BackendSession(opener(), weights, layout, room, 1, 0)) {
      SequenceCache cache = session.newSequence();
      session.stage(cache, 96);
      int[] tokens = tokens(92, 180);
      session.step(
          List.of(new BackendSession.Feed(cache, LogitsRequest.NONE, Kind.PROMPT_END, tokens)));
      BackendSession.Prefix kept = session.keep(cache, 96, 180);
      SequenceCache tooFew = session.begin(kept, 180);
      tooFew.beginShared(96, 4);
      refused(session, tooFew, Kind.PROMPT_END, 1, 2, 3);
      SequenceCache oneOff = session.begin(kept, 180);
      oneOff.beginShared(95, 2);
      refused(session, oneOff, Kind.PROMPT_END, 1, 2, 3);
    }
  }

  @Test
  void refusesATokenThatNobodyHasDrawn() {
    ModelWeights weights = RandomModels.make(PLAIN, 59);
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, weights.config());
    CacheCapacity room = BackendSession.room(layout, 2, 100, 100);
    try (BackendSession session = new BackendSession(opener(), weights, layout, room, 1, 0)) {
      SequenceCache cache = session.newSequence();
      session.step(cache, LogitsRequest.NONE, 1, 2, 3);
      session.step(session.newSequence(), LogitsRequest.NONE, 1, 2, 3);
      refused(session, cache, Kind.DECODE);
    }
  }

  private static void refused(
      BackendSession session, SequenceCache cache, Kind kind, int... tokens) {
    BackendSession.Feed feed = feed(cache, sampler(0), kind, tokens);
    BulkgenException refused =
        assertThrows(BulkgenException.class, () -> session.step(List.of(feed)));
    assertEquals(ErrorCode.INTERNAL, refused.code());
  }

  @Test
  void randomCutsSharesAndSwapsChangeNothing() {
    long seed = Long.getLong("tests.seed", ThreadLocalRandom.current().nextLong());
    System.out.println("random streams: -Dtests.seed=" + seed);
    new RandomStreams(opener(), seed).run(formsAndPolicies().toList(), randomStreams());
  }
}
