package dev.bulkgen.schedule;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.PolicyComparison;
import dev.bulkgen.schedule.SequenceState.Phase;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class TestScheduler {
  private static final int LAYERS = 2;

  static Stream<CachePolicy> policies() {
    return PolicyComparison.POLICIES.stream();
  }

  private static CacheLayout layout(CachePolicy policy) {
    return new CacheLayout(policy, LAYERS, 2, 64);
  }

  private static SequenceState sequence(long id, int promptLength, int maxTokens) {
    return new SequenceState(id, IntStream.range(0, promptLength).toArray(), maxTokens);
  }

  private static void step(Scheduler scheduler, StepPlan plan) {
    Stream.concat(plan.decodes().stream(), plan.prefills().stream())
        .forEach(s -> scheduler.advance(s, 7));
  }

  @Test
  void testPromptsSideBySideUpToTheLimit() {
    Scheduler scheduler = new Scheduler(layout(CachePolicy.FP16), new PagePool(1000), 10, 100);
    for (int i = 0; i < 4; i++) {
      scheduler.add(sequence(i, 40, 5));
    }
    StepPlan first = scheduler.plan();
    assertEquals(2, first.prefills().size());
    assertEquals(80, first.promptTokens());
    assertEquals(0, first.decodes().size());
    step(scheduler, first);
    StepPlan second = scheduler.plan();
    assertEquals(2, second.prefills().size());
    assertEquals(first.prefills(), second.decodes());
  }

  @Test
  void testSlotsLimitTheBatchAndAreFreeAtOnce() {
    Scheduler scheduler = new Scheduler(layout(CachePolicy.KIVI2), new PagePool(1000), 2, 100);
    List<SequenceState> all = List.of(sequence(0, 3, 9), sequence(1, 3, 9), sequence(2, 3, 9));
    all.forEach(scheduler::add);
    StepPlan plan = scheduler.plan();
    assertEquals(List.of(all.get(0), all.get(1)), plan.prefills());
    int slot = all.get(0).cache().slot();
    step(scheduler, plan);
    scheduler.end(all.get(0));
    plan = scheduler.plan();
    assertEquals(List.of(all.get(2)), plan.prefills());
    assertEquals(slot, all.get(2).cache().slot());
  }

  @Test
  void testTheHeadOfTheLineWaitsAndNoneOvertakes() {
    // A page is 32 tokens of a layer: 8 pages hold 128 tokens in 2 layers.
    Scheduler scheduler = new Scheduler(layout(CachePolicy.FP16), new PagePool(8), 10, 200);
    SequenceState small = sequence(0, 30, 10);
    SequenceState large = sequence(1, 100, 28);
    SequenceState last = sequence(2, 3, 3);
    scheduler.add(small);
    scheduler.add(large);
    scheduler.add(last);
    StepPlan plan = scheduler.plan();
    assertEquals(List.of(small), plan.prefills());
    step(scheduler, plan);
    assertEquals(0, scheduler.plan().prefills().size());
    scheduler.end(small);
    assertEquals(List.of(large), scheduler.plan().prefills());
    scheduler.end(large);
    assertEquals(List.of(last), scheduler.plan().prefills());
  }

  @Test
  void testPagesAreTakenAsTheSequenceGrows() {
    PagePool pool = new PagePool(100);
    Scheduler scheduler = new Scheduler(layout(CachePolicy.FP16), pool, 10, 200);
    SequenceState sequence = sequence(0, 31, 40);
    scheduler.add(sequence);
    step(scheduler, scheduler.plan());
    assertEquals(98, pool.available());
    assertEquals(6, scheduler.reservedPages());
    step(scheduler, scheduler.plan()); // the 32nd cached token
    assertEquals(98, pool.available());
    step(scheduler, scheduler.plan());
    assertEquals(96, pool.available());
  }

  @Test
  void testCancelsWaitingAndRunning() {
    PagePool pool = new PagePool(100);
    Scheduler scheduler = new Scheduler(layout(CachePolicy.FP16), pool, 1, 200);
    SequenceState running = sequence(0, 31, 40);
    SequenceState waiting = sequence(1, 31, 40);
    scheduler.add(running);
    scheduler.add(waiting);
    step(scheduler, scheduler.plan());
    scheduler.end(waiting);
    scheduler.end(running);
    scheduler.end(running);
    assertSame(Phase.ENDED, waiting.phase());
    assertTrue(scheduler.isIdle());
    assertTrue(scheduler.plan().isEmpty());
    assertEquals(100, pool.available());
  }

  @Test
  void testRefusesWhatCouldNeverRun() {
    Scheduler scheduler = new Scheduler(layout(CachePolicy.FP16), new PagePool(8), 10, 100);
    assertThrows(IllegalArgumentException.class, () -> scheduler.add(sequence(0, 101, 1)));
    assertThrows(IllegalArgumentException.class, () -> scheduler.add(sequence(0, 100, 29)));
    assertThrows(IllegalArgumentException.class, () -> sequence(0, 0, 1));
    assertThrows(IllegalArgumentException.class, () -> sequence(0, 1, 0));
    scheduler.add(sequence(0, 100, 28));
  }

  /** Random streams with ends and cancellations; a failure prints the seed that repeats it. */
  @ParameterizedTest
  @MethodSource("policies")
  void testRandomStreams(CachePolicy policy) {
    Long chosen = Long.getLong("bulkgen.test.seed");
    for (int round = 0; round < 40; round++) {
      long seed = chosen != null ? chosen : 1000L * round + policy.name().hashCode();
      try {
        new RandomStream(policy, seed).run();
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError("repeat with -Dbulkgen.test.seed=" + seed, e);
      }
    }
  }

  /** One random stream of requests through a scheduler, with all that must hold after each step. */
  private static final class RandomStream {
    private final Random random;
    private final CacheLayout layout;
    private final PagePool pool;
    private final Scheduler scheduler;
    private final int slots;
    private final int prefillTokens;
    private final List<SequenceState> all = new ArrayList<>();
    private final Map<SequenceState, Integer> fed = new HashMap<>();
    private final Map<SequenceState, Integer> goal = new HashMap<>();

    RandomStream(CachePolicy policy, long seed) {
      random = new Random(seed);
      layout = layout(policy);
      pool = new PagePool(LAYERS * layout.pagesPerLayer(700) + random.nextInt(60));
      slots = 1 + random.nextInt(9);
      prefillTokens = 400 + random.nextInt(400);
      scheduler = new Scheduler(layout, pool, slots, prefillTokens);
    }

    void run() {
      int requests = 30;
      int steps = 0;
      while (all.size() < requests || !scheduler.isIdle()) {
        if (all.size() < requests && random.nextInt(3) == 0) {
          addSome();
        }
        runStep(scheduler.plan());
        cancelSometimes();
        assertTrue(++steps < 50_000, "every request ends");
      }
      assertEquals(pool.total(), pool.available());
      assertEquals(0, scheduler.reservedPages());
      for (SequenceState sequence : all) {
        assertSame(Phase.ENDED, sequence.phase());
      }
    }

    private void addSome() {
      for (int i = random.nextInt(6); i >= 0; i--) {
        int prompt = 1 + random.nextInt(random.nextInt(4) == 0 ? 400 : 40);
        int most = 1 + random.nextInt(random.nextInt(4) == 0 ? 300 : 30);
        SequenceState sequence = sequence(all.size(), prompt, most);
        goal.put(sequence, 1 + random.nextInt(most));
        all.add(sequence);
        scheduler.add(sequence);
      }
    }

    private void runStep(StepPlan plan) {
      assertTrue(plan.promptTokens() <= prefillTokens);
      assertTrue(plan.decodes().size() + plan.prefills().size() <= slots);
      assertTrue(!plan.isEmpty() || scheduler.waitingCount() == 0, "someone moves");
      for (SequenceState sequence : plan.prefills()) {
        assertNoneOvertaken(sequence);
      }
      checkPages();
      for (SequenceState sequence : concat(plan)) {
        fed.merge(sequence, sequence.nextTokens().length, Integer::sum);
        scheduler.advance(sequence, random.nextInt(100));
        if (sequence.outputLength() == goal.get(sequence)) {
          scheduler.end(sequence);
          int counted = sequence.promptLength() + sequence.outputLength() - 1;
          assertEquals(counted, fed.get(sequence), "every token is fed once");
        }
      }
    }

    private void assertNoneOvertaken(SequenceState sequence) {
      for (SequenceState earlier : all.subList(0, (int) sequence.id())) {
        assertTrue(earlier.phase() != Phase.WAITING, "first come, first served");
      }
    }

    private static List<SequenceState> concat(StepPlan plan) {
      return Stream.concat(plan.decodes().stream(), plan.prefills().stream()).toList();
    }

    private void checkPages() {
      Set<Integer> owned = new HashSet<>();
      Set<Integer> usedSlots = new HashSet<>();
      int count = 0;
      for (SequenceState sequence : all) {
        if (sequence.phase() != Phase.RUNNING) {
          continue;
        }
        assertTrue(usedSlots.add(sequence.cache().slot()), "a slot has one owner");
        assertTrue(sequence.cache().slot() < slots);
        int needed = layout.pagesPerLayer(sequence.cache().length() + sequence.nextTokens().length);
        for (int layer = 0; layer < LAYERS; layer++) {
          assertEquals(needed, sequence.cache().pages().count(layer));
          for (int i = 0; i < needed; i++) {
            assertTrue(owned.add(sequence.cache().pages().page(layer, i)), "a page has one owner");
            count++;
          }
        }
      }
      assertEquals(pool.total(), pool.available() + count, "free + used = total");
      assertTrue(scheduler.reservedPages() <= pool.total());
    }

    private void cancelSometimes() {
      if (!all.isEmpty() && random.nextInt(20) == 0) {
        scheduler.end(all.get(random.nextInt(all.size())));
      }
    }
  }
}
