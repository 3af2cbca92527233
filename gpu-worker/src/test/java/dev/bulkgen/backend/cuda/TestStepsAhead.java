package dev.bulkgen.backend.cuda;

import static dev.bulkgen.backend.cuda.TestTokenCounter.feed;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.backend.SequenceStep.Kind;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.BlockForm;
import dev.bulkgen.model.MlpForm;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.Sampler;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import dev.bulkgen.tensor.DType;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/**
 * A step submitted before the one before it has been waited for. The device executes nothing before
 * somebody waits, and then late and in any order that events allow, so that buffers of the host
 * that are used again too early show.
 */
class TestStepsAhead {
  private static final int STEPS = 45;
  private static final int[] PROMPTS = {70, 33, 90};

  private final ModelWeights weights =
      RandomModels.make(
          new RandomModels.Form(
              4, 2, 16, BlockForm.SEQUENTIAL, MlpForm.SILU_GATED, false, 0, DType.BF16),
          3);
  private EmulatedControls controls;

  @BeforeEach
  void open() {
    controls = EmulatedControls.open();
  }

  @AfterEach
  void close() {
    controls.close();
  }

  /** Sequences that begin one after the other, in parts, and what each has drawn. */
  private static final class Rows {
    final BackendSession session;
    final List<SequenceCache> caches = new ArrayList<>();
    final List<Sampler> samplers = new ArrayList<>();
    final List<int[]> prompts = new ArrayList<>();
    final List<List<Integer>> tokens = new ArrayList<>();

    Rows(BackendSession session) {
      this.session = session;
      SamplingParams heldBack =
          new SamplingParamsBuilder().temperature(1).minTokens(9).stopTokenIds(allBut(7)).build();
      List<SamplingParams> params =
          List.of(TestTokenCounter.PENALIZED, heldBack, SamplingParams.GREEDY);
      for (int i = 0; i < PROMPTS.length; i++) {
        caches.add(session.newSequence());
        prompts.add(new SplittableRandom(i).ints(PROMPTS[i], 0, 66).toArray());
        samplers.add(TestTokenCounter.sampler(prompts.get(i), params.get(i)));
        tokens.add(new ArrayList<>());
      }
    }

    /** So many that the host has to hold them back for some steps, and not afterwards. */
    private static Set<Integer> allBut(int kept) {
      Set<Integer> ids = new TreeSet<>();
      for (int i = 0; i < 66; i++) {
        if (i % 11 != kept) {
          ids.add(i);
        }
      }
      return ids;
    }

    /** The sequences of a step: prompts of two parts, the next sequence five steps later. */
    List<BackendSession.Feed> step(int number, boolean isAhead) {
      List<BackendSession.Feed> steps = new ArrayList<>();
      for (int i = 0; i < caches.size(); i++) {
        int own = number - 5 * i;
        int[] prompt = prompts.get(i);
        if (own == 0 || own == 1) {
          int end = own == 0 ? 32 : prompt.length;
          Kind kind = own == 0 ? Kind.PROMPT_PART : Kind.PROMPT_END;
          int[] part = Arrays.copyOfRange(prompt, caches.get(i).length(), end);
          steps.add(feed(caches.get(i), samplers.get(i), kind, part));
        } else if (own > 1) {
          List<Integer> drawn = tokens.get(i);
          int[] token = isAhead ? new int[0] : new int[] {drawn.get(drawn.size() - 1)};
          steps.add(feed(caches.get(i), samplers.get(i), Kind.DECODE, token));
        }
      }
      return steps;
    }

    void take(List<BackendSession.Feed> steps, StepOutput output) {
      for (int s = 0; s < steps.size(); s++) {
        int row = caches.indexOf(steps.get(s).cache());
        if (output.sequences().get(s) instanceof StepOutput.Token token) {
          tokens.get(row).add(token.token());
        } else {
          assertInstanceOf(StepOutput.Fed.class, output.sequences().get(s));
        }
      }
    }
  }

  @Test
  void testStepsAheadGiveTheTokensOfStepsInTurn() {
    for (CachePolicy policy : List.of(CachePolicy.FP16, new CachePolicy.Kivi(2, 2, 16, 32, 0))) {
      List<List<Integer>> expected;
      try (BackendSession session = session(policy)) {
        Rows rows = new Rows(session);
        for (int number = 0; number < STEPS; number++) {
          List<BackendSession.Feed> steps = rows.step(number, false);
          rows.take(steps, session.submit(steps).await());
        }
        expected = rows.tokens;
      }
      assertEquals(STEPS - 1, expected.get(0).size());
      for (int seed = 1; seed <= 3; seed++) {
        controls.seed(seed);
        assertEquals(expected, ahead(policy), policy + ", seed " + seed);
      }
    }
  }

  private List<List<Integer>> ahead(CachePolicy policy) {
    try (BackendSession session = session(policy)) {
      Rows rows = new Rows(session);
      Deque<List<BackendSession.Feed>> submitted = new ArrayDeque<>();
      Deque<Backend.PendingStep> pending = new ArrayDeque<>();
      for (int number = 0; number < STEPS; number++) {
        List<BackendSession.Feed> steps = rows.step(number, true);
        submitted.add(steps);
        pending.add(session.submit(steps));
        if (pending.size() == 2) {
          rows.take(submitted.remove(), pending.remove().await());
        }
      }
      rows.take(submitted.remove(), pending.remove().await());
      return rows.tokens;
    }
  }

  @Test
  void testNothingWaitsBeforeTheHostAsks() {
    try (BackendSession session = session(new CachePolicy.Kivi(2, 2, 16, 32, 0))) {
      Rows rows = new Rows(session);
      session.submit(rows.step(0, true)).await();
      session.submit(rows.step(1, true)).await();
      session.submit(rows.step(2, true)).await(); // captures the graph
      long before = controls.launches();
      Backend.PendingStep first = session.submit(rows.step(3, true));
      Backend.PendingStep second = session.submit(rows.step(4, true));
      assertEquals(before, controls.launches());
      first.await();
      second.await();
      assertTrue(controls.launches() > before);
    }
  }

  @Test
  void testAFailureInEitherOfTwoStepsReleasesEverything() {
    controls.quiet();
    long before = controls.launches();
    twoSteps(session(CachePolicy.KIVI2)).run();
    int count = (int) (controls.launches() - before);
    assertTrue(count > 40, "only " + count);
    long alive = controls.alive();
    for (int n = 1; n <= count; n += 3) {
      BackendSession session = session(CachePolicy.KIVI2);
      controls.failLaunch(n);
      BulkgenException error = assertThrows(BulkgenException.class, twoSteps(session)::run);
      assertEquals(ErrorCode.DEVICE_LOST, error.code());
      assertEquals(0, error.getSuppressed().length);
      assertEquals(alive, controls.alive(), "after launch " + n + " failed");
    }
  }

  /** A prompt's end, and its first decode step ahead; closes the session. */
  private static Runnable twoSteps(BackendSession session) {
    return () -> {
      try (session) {
        Rows rows = new Rows(session);
        session.submit(rows.step(0, true)).await();
        Backend.PendingStep first = session.submit(rows.step(1, true));
        Backend.PendingStep second = session.submit(rows.step(2, true));
        first.await();
        second.await();
      }
    };
  }

  @Test
  void testAStepThatFindsNoMemoryLeavesTheOneBeforeIt() {
    try (BackendSession session = session(CachePolicy.KIVI2)) {
      Rows rows = new Rows(session);
      session.submit(rows.step(0, true)).await();
      List<BackendSession.Feed> end = rows.step(1, true);
      Backend.PendingStep first = session.submit(end);
      controls.failAllocation(1);
      List<BackendSession.Feed> next = rows.step(2, true);
      assertCode(ErrorCode.DEVICE_OUT_OF_MEMORY, () -> session.submit(next));
      rows.take(end, first.await());
      rows.take(next, session.submit(next).await());
      assertEquals(2, rows.tokens.get(0).size());
      assertEquals(rows.tokens.get(0), ahead(CachePolicy.KIVI2).get(0).subList(0, 2));
    }
  }

  @Test
  void testRefusesWhatCannotRunAhead() {
    try (BackendSession session = session(CachePolicy.FP16)) {
      Rows rows = new Rows(session);
      SequenceCache cache = rows.caches.get(0);
      Sampler onHost = (logits, offset, size) -> 3;
      session.step(List.of(feed(cache, onHost, Kind.PROMPT_END, rows.prompts.get(0))));
      refused(session, feed(cache, onHost, Kind.DECODE));
      session.step(List.of(feed(cache, onHost, Kind.DECODE, 3)));
      Sampler onDevice = rows.samplers.get(2);
      Backend.PendingStep first = session.submit(List.of(feed(cache, onDevice, Kind.DECODE, 4)));
      Backend.PendingStep second = session.submit(List.of(feed(cache, onDevice, Kind.DECODE)));
      refused(session, feed(cache, onDevice, Kind.DECODE));
      assertCode(ErrorCode.INTERNAL, second::await);
      first.await();
      assertCode(ErrorCode.INTERNAL, first::await);
      second.await();
    }
  }

  private static void refused(BackendSession session, BackendSession.Feed feed) {
    assertCode(ErrorCode.INTERNAL, () -> session.submit(List.of(feed)));
  }

  private static void assertCode(ErrorCode code, Executable call) {
    assertEquals(code, assertThrows(BulkgenException.class, call).code());
  }

  private BackendSession session(CachePolicy policy) {
    CacheLayout layout = CacheLayout.of(policy, weights.config());
    return new BackendSession(
        CudaSessions.opener(Precision.ONE_PIECE),
        weights,
        layout,
        BackendSession.room(layout, PROMPTS.length, 160, 200),
        1,
        2);
  }
}
