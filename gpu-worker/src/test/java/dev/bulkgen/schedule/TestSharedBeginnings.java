package dev.bulkgen.schedule;

import static dev.bulkgen.schedule.TestScheduler.LAYERS;
import static dev.bulkgen.schedule.TestScheduler.pools;
import static dev.bulkgen.schedule.TestScheduler.prefilled;
import static dev.bulkgen.schedule.TestScheduler.scheduler;
import static dev.bulkgen.schedule.TestScheduler.sequence;
import static dev.bulkgen.schedule.TestScheduler.step;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.schedule.StepPlan.Part;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Blocks that prompts have in common, computed once and kept. */
class TestSharedBeginnings {
  @Test
  void testACommonBeginningIsPrefilledOnce() {
    SchedulerPools pools = pools(100, 0, 0);
    Scheduler scheduler = scheduler(pools, 10, 1000, 0);
    for (int i = 0; i < 3; i++) {
      int own = 5000 + i;
      int[] prompt = IntStream.range(0, 100).map(t -> t < 70 ? t : own).toArray();
      scheduler.add(sequence(i, prompt, 5));
    }
    SequenceState other = sequence(9, 40, 5);
    scheduler.add(other);
    StepPlan first = step(scheduler);
    assertEquals(140, first.promptTokens(), "the others wait for the first, a stranger passes");
    StepPlan second = step(scheduler);
    assertEquals(2 * 36, second.promptTokens());
    assertTrue(second.prefills().stream().allMatch(part -> part.from() == 64));
    assertEquals(64, second.prefills().get(0).sequence().cachedTokens());
    // Four pages of a layer for the first, two of which the others share, two for the stranger.
    assertEquals(LAYERS * (4 + 2 + 2 + 2), pools.usedPages());
    prefilled(first).forEach(scheduler::end);
    prefilled(second).forEach(scheduler::end);
    assertEquals(LAYERS * 2, pools.usedPages(), "kept for whoever comes");
  }

  @Test
  void testKeptBeginningsGiveWay() {
    SchedulerPools pools = pools(8, 0, 0);
    Scheduler scheduler = scheduler(pools, 10, 1000, 0);
    int[] prompt = IntStream.range(0, 65).toArray();
    List<SequenceState> alike = List.of(sequence(0, prompt, 5), sequence(1, prompt, 5));
    alike.forEach(scheduler::add);
    step(scheduler);
    step(scheduler);
    alike.forEach(scheduler::end);
    assertEquals(LAYERS * 2, pools.usedPages());
    SequenceState large = sequence(5, 120, 8);
    scheduler.add(large);
    assertEquals(List.of(large), prefilled(step(scheduler)));
    assertEquals(8, pools.usedPages());
  }

  @Test
  void testACancelledFirstLeavesItsWorkToTheNext() {
    Scheduler scheduler = scheduler(pools(100, 0, 0), 10, 64, 0);
    int[] prompt = IntStream.range(0, 130).toArray();
    List<SequenceState> all =
        List.of(sequence(0, prompt, 5), sequence(1, prompt, 5), sequence(2, prompt, 5));
    all.forEach(scheduler::add);
    assertEquals(List.of(new Part(all.get(0), 0, 64)), step(scheduler).prefills());
    scheduler.end(all.get(0));
    assertEquals(
        List.of(new Part(all.get(1), 64, 128)),
        step(scheduler).prefills(),
        "what was done stays, what was only begun is begun again");
  }

  /** A prompt whose first {@code shared} tokens are those of {@code beginning}. */
  private static int[] prompt(int beginning, int shared, int length, int own) {
    return IntStream.range(0, length).map(t -> t < shared ? beginning + t : own).toArray();
  }

  private static void keep(Scheduler scheduler, int beginning) {
    List<SequenceState> alike =
        List.of(
            sequence(beginning, prompt(beginning, 64, 65, 7), 5),
            sequence(beginning + 1, prompt(beginning, 64, 65, 7), 5));
    alike.forEach(scheduler::add);
    step(scheduler);
    step(scheduler);
    alike.forEach(scheduler::end);
  }

  @Test
  void testWhoeverIsAloneKeepsWhatItCanOfItsOwnBeginning() {
    SchedulerPools pools = pools(LAYERS * 4, 0, 0);
    Scheduler scheduler = scheduler(pools, 10, 1000, 0);
    keep(scheduler, 1000);
    assertEquals(LAYERS * 2, pools.usedPages());
    SequenceState all = sequence(1, prompt(1000, 64, 104, 8), 24); // four pages, two of them there
    scheduler.add(all);
    assertEquals(List.of(new Part(all, 64, 104)), step(scheduler).prefills());
  }

  @Test
  void testBeginningsThatNobodyWaitsForGoFirst() {
    SchedulerPools pools = pools(LAYERS * 6, 0, 0);
    Scheduler scheduler = scheduler(pools, 10, 1000, 0);
    keep(scheduler, 1000);
    keep(scheduler, 2000);
    SequenceState next = sequence(1, prompt(1000, 64, 160, 8), 5);
    scheduler.add(next);
    assertEquals(List.of(new Part(next, 64, 160)), step(scheduler).prefills());
    assertEquals(LAYERS * 6, pools.usedPages(), "a page of the newer one had to go, no more");
  }
}
