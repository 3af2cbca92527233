package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.RandomModels;
import dev.bulkgen.backend.SequenceStep;
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
    final PartsSession session;
    final List<SequenceCache> caches = new ArrayList<>();
    final List<Sampler> samplers = new ArrayList<>();
    final List<int[]> prompts = new ArrayList<>();
    final List<List<Integer>> tokens = new ArrayList<>();

    Rows(PartsSession session) {
      this.session = session;
      session.wantsLogits = false;
      SamplingParams heldBack =
          new SamplingParamsBuilder().temperature(1).minTokens(9).stopTokenIds(allBut(7)).build();
      List<SamplingParams> params =
          List.of(PartsSession.PENALIZED, heldBack, SamplingParams.GREEDY);
      for (int i = 0; i < PROMPTS.length; i++) {
        caches.add(session.sequence(i));
        prompts.add(new SplittableRandom(i).ints(PROMPTS[i], 0, 66).toArray());
        samplers.add(PartsSession.sampler(prompts.get(i), params.get(i)));
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
    List<SequenceStep> step(int number, boolean isAhead) {
      List<SequenceStep> steps = new ArrayList<>();
      for (int i = 0; i < caches.size(); i++) {
        int own = number - 5 * i;
        int[] prompt = prompts.get(i);
        if (own == 0 || own == 1) {
          int end = own == 0 ? 32 : prompt.length;
          steps.add(session.part(caches.get(i), prompt, end, samplers.get(i)));
        } else if (own > 1) {
          List<Integer> drawn = tokens.get(i);
          int[] token = isAhead ? new int[0] : new int[] {drawn.get(drawn.size() - 1)};
          steps.add(session.decode(caches.get(i), samplers.get(i), token));
        }
      }
      return steps;
    }

    void take(List<SequenceStep> steps, StepOutput output) {
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
      try (PartsSession session = session(policy)) {
        Rows rows = new Rows(session);
        for (int number = 0; number < STEPS; number++) {
          List<SequenceStep> steps = rows.step(number, false);
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
    try (PartsSession session = session(policy)) {
      Rows rows = new Rows(session);
      Deque<List<SequenceStep>> submitted = new ArrayDeque<>();
      Deque<Backend.PendingStep> pending = new ArrayDeque<>();
      for (int number = 0; number < STEPS; number++) {
        List<SequenceStep> steps = rows.step(number, true);
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
    try (PartsSession session = session(new CachePolicy.Kivi(2, 2, 16, 32, 0))) {
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
      PartsSession session = session(CachePolicy.KIVI2);
      controls.failLaunch(n);
      BulkgenException error = assertThrows(BulkgenException.class, twoSteps(session)::run);
      assertEquals(ErrorCode.DEVICE_LOST, error.code());
      assertEquals(0, error.getSuppressed().length);
      assertEquals(alive, controls.alive(), "after launch " + n + " failed");
    }
  }

  /** A prompt's end, and its first decode step ahead; closes the session. */
  private static Runnable twoSteps(PartsSession session) {
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
    try (PartsSession session = session(CachePolicy.KIVI2)) {
      Rows rows = new Rows(session);
      session.submit(rows.step(0, true)).await();
      List<SequenceStep> end = rows.step(1, true);
      Backend.PendingStep first = session.submit(end);
      controls.failAllocation(1);
      List<SequenceStep> next = rows.step(2, true);
      assertCode(ErrorCode.DEVICE_OUT_OF_MEMORY, () -> session.submit(next));
      rows.take(end, first.await());
      rows.take(next, session.submit(next).await());
      assertEquals(2, rows.tokens.get(0).size());
      assertEquals(rows.tokens.get(0), ahead(CachePolicy.KIVI2).get(0).subList(0, 2));
    }
  }

  @Test
  void testABrokenRowFailsAheadToo() {
    ModelWeights broken =
        new ModelWeights(
            weights.config(),
            RandomModels.withRow(weights.embedding(), 65, Float.NaN),
            weights.layers(),
            weights.finalNorm(),
            weights.head());
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, weights.config());
    try (PartsSession session = new PartsSession(broken, layout, 200)) {
      session.wantsLogits = false;
      SequenceCache sound = session.sequence(0);
      SequenceCache bad = session.sequence(1);
      Sampler soundSampler = PartsSession.sampler(new int[0], SamplingParams.GREEDY);
      Sampler badSampler = PartsSession.sampler(new int[0], SamplingParams.GREEDY);
      Backend.PendingStep first =
          session.submit(
              List.of(
                  session.part(sound, new int[] {1, 2}, 2, soundSampler),
                  session.part(bad, new int[] {1, 65}, 2, badSampler)));
      Backend.PendingStep second =
          session.submit(
              List.of(session.decode(bad, badSampler), session.decode(sound, soundSampler)));
      List<StepOutput.SequenceOutput> outputs = first.await().sequences();
      assertInstanceOf(StepOutput.Token.class, outputs.get(0));
      assertInstanceOf(StepOutput.Failure.class, outputs.get(1));
      outputs = second.await().sequences();
      assertInstanceOf(StepOutput.Failure.class, outputs.get(0));
      assertInstanceOf(StepOutput.Token.class, outputs.get(1));
    }
  }

  @Test
  void testRefusesWhatCannotRunAhead() {
    try (PartsSession session = session(CachePolicy.FP16)) {
      Rows rows = new Rows(session);
      SequenceCache cache = rows.caches.get(0);
      Sampler onHost = (logits, offset, size) -> 3;
      session.run(session.part(cache, rows.prompts.get(0), 70, onHost));
      SequenceStep withoutToken = session.decode(cache, onHost);
      assertCode(ErrorCode.INTERNAL, () -> session.submit(List.of(withoutToken)));
      session.run(session.decode(cache, onHost, 3));
      Sampler onDevice = rows.samplers.get(2);
      Backend.PendingStep first = session.submit(List.of(session.decode(cache, onDevice, 4)));
      Backend.PendingStep second = session.submit(List.of(session.decode(cache, onDevice)));
      SequenceStep third = session.decode(cache, onDevice);
      assertCode(ErrorCode.INTERNAL, () -> session.submit(List.of(third)));
      assertCode(ErrorCode.INTERNAL, second::await);
      first.await();
      assertCode(ErrorCode.INTERNAL, first::await);
      second.await();
    }
  }

  private static void assertCode(ErrorCode code, Executable call) {
    assertEquals(code, assertThrows(BulkgenException.class, call).code());
  }

  private PartsSession session(CachePolicy policy) {
    return new PartsSession(weights, CacheLayout.of(policy, weights.config()), 200);
  }
}
