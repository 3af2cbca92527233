package dev.bulkgen.schedule;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.PageTable;
import dev.bulkgen.schedule.SequenceState.Phase;
import dev.bulkgen.schedule.StepPlan.Part;
import dev.bulkgen.schedule.StepPlan.Swap;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What holds whatever comes; a failure prints the seed that repeats it. */
class TestRandomStreams {
  private static final int LAYERS = 2;
  private static final int LONGEST = 700;
  private static final int ROUNDS = 60;

  static Stream<CachePolicy> policies() {
    return Stream.of(
        CachePolicy.FP16,
        CachePolicy.KIVI2,
        new CachePolicy.Kivi(2, 2, 32, 32, 32),
        new CachePolicy.Kivi(4, 2, 48, 48, 96),
        new CachePolicy.Kivi(2, 2, 16, 16, 16));
  }

  @ParameterizedTest
  @MethodSource("policies")
  void testRandomStreams(CachePolicy policy) {
    Long chosen = Long.getLong("bulkgen.test.seed");
    int swaps = 0;
    int shared = 0;
    int parts = 0;
    for (int round = 0; round < ROUNDS; round++) {
      long seed = chosen != null ? chosen : 1000L * round + policy.name().hashCode();
      RandomStream stream = new RandomStream(policy, seed);
      try {
        stream.run();
      } catch (RuntimeException | AssertionError e) {
        throw new AssertionError("repeat with -Dbulkgen.test.seed=" + seed, e);
      }
      swaps += stream.swaps;
      shared += stream.shared;
      parts += stream.parts;
    }
    if (chosen == null) {
      assertTrue(swaps > 20, swaps + " swaps");
      assertTrue(shared > 20, shared + " shared beginnings");
      assertTrue(parts > 20, parts + " parts");
    }
  }

  /** One random stream of requests through a scheduler, with all that must hold after each step. */
  private static final class RandomStream {
    private final Random random;
    private final CacheLayout layout;
    private final SchedulerPools pools;
    private final SchedulerLimits limits;
    private final Scheduler scheduler;
    private final boolean runsAhead;
    private final int[][] beginnings = new int[3][];
    private final List<SequenceState> all = new ArrayList<>();
    private final Map<SequenceState, Integer> fed = new HashMap<>();
    private final Map<SequenceState, Integer> goal = new HashMap<>();
    private final Deque<StepPlan> flight = new ArrayDeque<>();
    private int swaps;
    private int shared;
    private int parts;

    RandomStream(CachePolicy policy, long seed) {
      random = new Random(seed);
      layout = new CacheLayout(policy, LAYERS, 2, 64);
      int longest = (int) MemoryPlan.pagesOf(layout, LONGEST);
      int staged = layout.isExact() ? 0 : (int) MemoryPlan.pagesOf(layout.staging(), LONGEST);
      int swap = random.nextInt(4) > 0 ? longest * (1 + random.nextInt(8)) : 0;
      pools =
          new SchedulerPools(
              new PagePool(longest + random.nextInt(30)),
              new PagePool(staged + random.nextInt(40)),
              new PagePool(swap));
      int slots = 1 + random.nextInt(12);
      limits =
          new SchedulerLimits(
              slots,
              layout.promptAlignment() + random.nextInt(500),
              swap == 0 ? 0 : 1 + random.nextInt(2 * slots),
              random.nextBoolean() ? 1 : 0.7,
              random.nextInt(4) > 0 ? 1 : 50,
              random.nextInt(4) > 0);
      scheduler = new Scheduler(layout, pools, limits);
      runsAhead = random.nextBoolean();
      for (int i = 0; i < beginnings.length; i++) {
        int length = 20 + random.nextInt(150);
        int from = i == 2 ? 0 : 1000 * i; // the third goes on where the first ends
        beginnings[i] = random.ints(length, from, from + 2).toArray();
      }
    }

    void run() {
      int requests = 40;
      int steps = 0;
      while (all.size() < requests || !scheduler.isIdle()) {
        if (all.size() < requests && random.nextInt(3) == 0) {
          addSome();
        }
        begin(scheduler.plan());
        if (!runsAhead || flight.size() > 1 || flight.peek().isEmpty()) {
          end(flight.remove());
        }
        cancelSometimes();
        assertTrue(++steps < 50_000, "every request ends");
      }
      flight.forEach(this::end);
      all.forEach(sequence -> assertSame(Phase.ENDED, sequence.phase()));
      assertEquals(pools.swap().total(), pools.swap().available());
      checkPages();
    }

    private void addSome() {
      for (int i = random.nextInt(6); i >= 0; i--) {
        int own = 1 + random.nextInt(random.nextInt(5) == 0 ? 200 : 40);
        int most = 1 + random.nextInt(random.nextInt(2) == 0 ? 300 : 30);
        int[] prompt = prompt(own);
        for (int n = random.nextInt(5) == 0 ? 3 : 1; n > 0; n--) {
          boolean isScored = random.nextInt(4) == 0;
          SequenceState sequence =
              isScored
                  ? SequenceState.scored(all.size(), prompt, random.nextInt(prompt.length))
                  : new SequenceState(all.size(), prompt, most);
          goal.put(sequence, random.nextBoolean() ? most : 1 + random.nextInt(most));
          all.add(sequence);
          scheduler.add(sequence);
        }
      }
    }

    private int[] prompt(int own) {
      int[] beginning = random.nextInt(3) == 0 ? new int[0] : beginnings[random.nextInt(3)];
      int[] prompt = Arrays.copyOf(beginning, beginning.length + own);
      for (int i = beginning.length; i < prompt.length; i++) {
        prompt[i] = 5000 + random.nextInt(3);
      }
      return prompt;
    }

    private void begin(StepPlan plan) {
      assertTrue(plan.promptTokens() <= limits.prefillTokens());
      assertTrue(plan.sequences() <= limits.slots());
      assertTrue(!plan.isEmpty() || !flight.isEmpty() || scheduler.isIdle(), "someone moves");
      checkSwaps(plan);
      for (SequenceState sequence : plan.decodes()) {
        assertSame(Phase.RUNNING, sequence.phase());
        fed.merge(sequence, 1, Integer::sum);
        assertHolds(sequence, sequence.cache().length() + 1);
      }
      for (Part part : plan.prefills()) {
        SequenceState sequence = part.sequence();
        assertEquals(sequence.cache().length(), part.from());
        assertEquals(0, part.from() % layout.promptAlignment());
        assertTrue(sequence.cachedTokens() <= sequence.firstNeeded(), "rows needed are fed");
        boolean begins = !fed.containsKey(sequence);
        assertNoneOvertaken(sequence);
        shared += begins && part.from() > 0 ? 1 : 0;
        parts += part.endsPrompt() ? 0 : 1;
        fed.merge(sequence, part.tokens() + (begins ? part.from() : 0), Integer::sum);
        assertHolds(sequence, sequence.promptLength());
        assertStaged(part);
      }
      checkPages();
      scheduler.submitted(plan);
      flight.add(plan);
    }

    private void checkSwaps(StepPlan plan) {
      swaps += plan.swapOuts().size();
      for (Swap swap : plan.swapOuts()) {
        assertTrue(swap.from().slot() < limits.slots());
        assertTrue(swap.to().slot() < limits.swapSlots());
        assertEquals(swap.from().pages().count(0), swap.to().pages().count(0));
      }
      for (Swap swap : plan.swapIns()) {
        assertTrue(swap.to().pages().count(0) >= swap.from().pages().count(0));
        assertSame(swap.to(), swap.sequence().cache());
      }
    }

    /** Only those whose beginning another is prefilling let others pass. */
    private void assertNoneOvertaken(SequenceState sequence) {
      if (!limits.sharesPrefixes()) {
        for (SequenceState earlier : all.subList(0, (int) sequence.id())) {
          assertTrue(earlier.phase() != Phase.WAITING, "first come, first served");
        }
      }
    }

    private void assertHolds(SequenceState sequence, int length) {
      assertEquals(layout.pagesPerLayer(length), sequence.cache().pages().count(1));
    }

    /** What a part attends to, and what later parts will, has its staging pages. */
    private void assertStaged(Part part) {
      if (!layout.isExact()) {
        int needed = part.endsPrompt() ? part.from() : part.to();
        int held = part.sequence().cache().staging().count(1);
        assertTrue(held >= layout.staging().pagesPerLayer(needed), held + " staging pages");
      }
    }

    private void end(StepPlan plan) {
      for (Part part : plan.prefills()) {
        if (part.sequence().phase() != Phase.ENDED) {
          scheduler.fed(part);
          if (part.sequence().isScored()) {
            boolean hasEnded = part.sequence().phase() == Phase.ENDED;
            assertEquals(part.endsPrompt(), hasEnded, "scored prompts end with their last part");
          } else {
            draw(part.sequence(), part.endsPrompt());
          }
        }
      }
      plan.decodes().forEach(sequence -> draw(sequence, true));
      checkPages();
    }

    private void draw(SequenceState sequence, boolean draws) {
      if (draws && sequence.phase() != Phase.ENDED) {
        scheduler.drew(sequence, random.nextInt(100));
        if (sequence.outputLength() == goal.get(sequence)) {
          int counted = sequence.promptLength() + sequence.outputLength() - 1;
          int ahead = fed.get(sequence) - counted;
          assertTrue(ahead == 0 || (runsAhead && ahead == 1), "every token is fed once");
          scheduler.finish(sequence);
        }
      }
    }

    /** Free + used = total, and each page has as many owners as are in sight. */
    private void checkPages() {
      Map<Integer, Integer> pages = new HashMap<>();
      Map<Integer, Integer> staging = new HashMap<>();
      Map<Integer, Integer> swapped = new HashMap<>();
      Set<Integer> usedSlots = new HashSet<>();
      for (SequenceState sequence : all) {
        if (sequence.phase() == Phase.RUNNING) {
          assertTrue(usedSlots.add(sequence.cache().slot()), "a slot has one owner");
          count(sequence.cache().pages(), pages);
          count(sequence.cache().staging(), staging);
        } else if (sequence.phase() == Phase.SWAPPED) {
          count(sequence.cache().pages(), swapped);
        }
      }
      check(pages, pools.pages());
      check(staging, pools.staging());
      check(swapped, pools.swap());
      swapped.values().forEach(owners -> assertEquals(1, owners));
    }

    private static void count(PageTable table, Map<Integer, Integer> owners) {
      for (int layer = 0; layer < table.layers(); layer++) {
        for (int i = 0; i < table.count(layer); i++) {
          owners.merge(table.page(layer, i), 1, Integer::sum);
        }
      }
    }

    /** The index holds pages as well: at most one ownership of a page beside the sequences'. */
    private static void check(Map<Integer, Integer> owners, PagePool pool) {
      int used = 0;
      for (int page = 0; page < pool.total(); page++) {
        int seen = owners.getOrDefault(page, 0);
        int held = pool.owners(page);
        assertTrue(held == seen || held == seen + 1, "page " + page + ": " + held + ", " + seen);
        used += held > 0 ? 1 : 0;
      }
      assertEquals(pool.total(), pool.available() + used, "free + used = total");
    }

    private void cancelSometimes() {
      if (!all.isEmpty() && random.nextInt(20) == 0) {
        scheduler.end(all.get(random.nextInt(all.size())));
      }
    }
  }
}
