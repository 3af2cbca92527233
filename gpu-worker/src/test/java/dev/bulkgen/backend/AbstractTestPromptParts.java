package dev.bulkgen.backend;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.SequenceStep.Kind;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.model.ModelWeights;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ThreadLocalRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What a scheduler may do to a sequence without changing a bit of it (P1): cut its prompt, let it
 * share a beginning, move it to host memory and back.
 */
public abstract class AbstractTestPromptParts extends AbstractTestStepsAhead {
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
  void randomCutsSharesAndSwapsChangeNothing() {
    long seed = Long.getLong("tests.seed", ThreadLocalRandom.current().nextLong());
    System.out.println("random streams: -Dtests.seed=" + seed);
    new RandomStreams(opener(), seed).run(formsAndPolicies().toList(), randomStreams());
  }
}
