package dev.bulkgen.backend;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

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
import org.junit.jupiter.api.Test;

/** A step may be planned before the one before it is known: the same tokens are drawn (P1). */
public abstract class AbstractTestStepsAhead extends AbstractTestBackend {

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

  private static int token(BackendSession session, BackendSession.Feed feed) {
    return ((StepOutput.Token) session.step(List.of(feed)).get(0)).token();
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

  static BackendSession.Feed feed(SequenceCache cache, Sampler sampler, Kind kind, int... tokens) {
    return new BackendSession.Feed(cache, sampler, LogitsRequest.NONE, kind, tokens);
  }

  static void refused(BackendSession session, SequenceCache cache, Kind kind, int... tokens) {
    BackendSession.Feed feed = feed(cache, sampler(0), kind, tokens);
    BulkgenException refused =
        assertThrows(BulkgenException.class, () -> session.step(List.of(feed)));
    assertEquals(ErrorCode.INTERNAL, refused.code());
  }

  /** Draws at temperature 1, on a device if there is one. */
  static Sampler sampler(int row) {
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
}
