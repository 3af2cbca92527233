package dev.bulkgen.schedule;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.schedule.SequenceState.Phase;
import dev.bulkgen.schedule.StepPlan.Part;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** Who runs when; a page of float16 is 32 tokens of a layer, and there are two layers. */
class TestScheduler {
  static final int LAYERS = 2;
  static final CacheLayout FP16 = layout(CachePolicy.FP16);

  static CacheLayout layout(CachePolicy policy) {
    return new CacheLayout(policy, LAYERS, 2, 64);
  }

  /** A prompt that begins like no other. */
  static SequenceState sequence(long id, int promptLength, int maxTokens) {
    int[] prompt = IntStream.range(0, promptLength).map(i -> i + 1000 * (int) id).toArray();
    return new SequenceState(id, prompt, maxTokens);
  }

  static SequenceState sequence(long id, int[] prompt, int maxTokens) {
    return new SequenceState(id, prompt, maxTokens);
  }

  static SchedulerPools pools(int pages, int staging, int swap) {
    return new SchedulerPools(new PagePool(pages), new PagePool(staging), new PagePool(swap));
  }

  static Scheduler scheduler(SchedulerPools pools, int slots, int prefillTokens, int swap) {
    return new Scheduler(FP16, pools, new SchedulerLimits(slots, prefillTokens, swap, 1, 1, true));
  }

  static StepPlan step(Scheduler scheduler) {
    StepPlan plan = scheduler.plan();
    scheduler.submitted(plan);
    plan.decodes().forEach(sequence -> scheduler.drew(sequence, 7));
    for (Part part : plan.prefills()) {
      scheduler.fed(part);
      if (part.endsPrompt()) {
        scheduler.drew(part.sequence(), 7);
      }
    }
    return plan;
  }

  static List<SequenceState> prefilled(StepPlan plan) {
    return plan.prefills().stream().map(Part::sequence).toList();
  }

  @Test
  void testPromptsSideBySideUpToTheLimit() {
    Scheduler scheduler = scheduler(pools(1000, 0, 0), 10, 100, 0);
    for (int i = 0; i < 4; i++) {
      scheduler.add(sequence(i, 40, 5));
    }
    StepPlan first = step(scheduler);
    assertEquals(2, first.prefills().size());
    assertEquals(80, first.promptTokens());
    assertEquals(0, first.decodes().size());
    StepPlan second = step(scheduler);
    assertEquals(2, second.prefills().size());
    assertEquals(prefilled(first), second.decodes());
  }

  @Test
  void testSlotsLimitTheBatchAndAreFreeAtOnce() {
    Scheduler scheduler = scheduler(pools(1000, 0, 0), 2, 100, 0);
    List<SequenceState> all = List.of(sequence(0, 3, 9), sequence(1, 3, 9), sequence(2, 3, 9));
    all.forEach(scheduler::add);
    assertEquals(List.of(all.get(0), all.get(1)), prefilled(step(scheduler)));
    int slot = all.get(0).cache().slot();
    scheduler.end(all.get(0));
    assertEquals(List.of(all.get(2)), prefilled(step(scheduler)));
    assertEquals(slot, all.get(2).cache().slot());
  }

  @Test
  void testTheHeadOfTheLineWaitsAndNoneOvertakes() {
    Scheduler scheduler = scheduler(pools(8, 0, 0), 10, 200, 0);
    SequenceState small = sequence(0, 30, 10);
    SequenceState large = sequence(1, 100, 28);
    SequenceState last = sequence(2, 3, 3);
    List.of(small, large, last).forEach(scheduler::add);
    assertEquals(List.of(small), prefilled(step(scheduler)));
    assertEquals(List.of(), prefilled(step(scheduler)));
    scheduler.end(small);
    assertEquals(List.of(large), prefilled(step(scheduler)));
    scheduler.end(large);
    assertEquals(List.of(last), prefilled(step(scheduler)));
  }

  @Test
  void testPagesAreTakenAsTheSequenceGrows() {
    SchedulerPools pools = pools(100, 0, 0);
    Scheduler scheduler = scheduler(pools, 10, 200, 0);
    scheduler.add(sequence(0, 31, 40));
    step(scheduler);
    assertEquals(2, pools.usedPages());
    step(scheduler); // the 32nd cached token
    assertEquals(2, pools.usedPages());
    step(scheduler);
    assertEquals(4, pools.usedPages());
  }

  @Test
  void testCancelsWaitingAndRunning() {
    SchedulerPools pools = pools(100, 0, 0);
    Scheduler scheduler = scheduler(pools, 1, 200, 0);
    SequenceState running = sequence(0, 31, 40);
    SequenceState waiting = sequence(1, 31, 40);
    scheduler.add(running);
    scheduler.add(waiting);
    step(scheduler);
    scheduler.end(waiting);
    scheduler.end(running);
    scheduler.end(running);
    assertSame(Phase.ENDED, waiting.phase());
    assertTrue(scheduler.isIdle());
    assertTrue(scheduler.plan().isEmpty());
    assertEquals(0, pools.usedPages());
  }

  @Test
  void testRefusesWhatCouldNeverRun() {
    CacheLayout coded = layout(CachePolicy.KIVI2);
    SchedulerLimits limits = new SchedulerLimits(10, 100, 0, 1, 1, true);
    Scheduler unstaged = new Scheduler(coded, pools(80, 0, 0), limits);
    assertThrows(IllegalArgumentException.class, () -> unstaged.add(sequence(0, 101, 1)));
    Scheduler scheduler = scheduler(pools(8, 0, 0), 10, 100, 0);
    assertThrows(IllegalArgumentException.class, () -> scheduler.add(sequence(0, 100, 29)));
    assertThrows(IllegalArgumentException.class, () -> sequence(0, 0, 1));
    assertThrows(IllegalArgumentException.class, () -> sequence(0, 1, 0));
    scheduler.add(sequence(0, 100, 28));
    scheduler.add(sequence(1, 101, 1)); // in two parts
  }

  @Test
  void testALongPromptComesInPartsAndDrawsOnceAtItsEnd() {
    Scheduler scheduler = scheduler(pools(100, 0, 0), 10, 100, 0);
    SequenceState sequence = sequence(0, 250, 5);
    scheduler.add(sequence);
    scheduler.add(sequence(1, 20, 5));
    assertEquals(List.of(new Part(sequence, 0, 96)), step(scheduler).prefills());
    assertEquals(List.of(new Part(sequence, 96, 192)), step(scheduler).prefills());
    assertEquals(0, sequence.outputLength());
    StepPlan last = step(scheduler);
    assertEquals(new Part(sequence, 192, 250), last.prefills().get(0));
    assertEquals(2, last.prefills().size(), "the rest of the step goes to the next prompt");
    assertEquals(1, sequence.outputLength());
  }

  @Test
  void testAPromptThatFitsAStepIsNotCut() {
    Scheduler scheduler = scheduler(pools(100, 0, 0), 10, 100, 0);
    scheduler.add(sequence(0, 60, 5));
    SequenceState second = sequence(1, 90, 5);
    scheduler.add(second);
    assertEquals(1, step(scheduler).prefills().size());
    assertEquals(List.of(new Part(second, 0, 90)), step(scheduler).prefills());
  }

  @Test
  void testTheYoungestMakesRoomAndComesBackFirst() {
    // Each begins with two pages of a layer and may come to hold three: 14 pages for three of them.
    SchedulerPools pools = pools(14, 0, 100);
    Scheduler scheduler = scheduler(pools, 10, 1000, 10);
    List<SequenceState> all =
        List.of(sequence(0, 60, 30), sequence(1, 60, 30), sequence(2, 60, 30));
    all.forEach(scheduler::add);
    scheduler.add(sequence(3, 60, 30));
    StepPlan plan = step(scheduler);
    assertEquals(all, prefilled(plan));
    while (plan.swapOuts().isEmpty()) {
      plan = step(scheduler);
    }
    SequenceState youngest = all.get(2);
    assertSame(youngest, plan.swapOuts().get(0).sequence());
    assertSame(Phase.SWAPPED, youngest.phase());
    assertEquals(all.subList(0, 2), plan.decodes());
    int length = youngest.cache().length();
    while (plan.swapIns().isEmpty()) {
      assertEquals(List.of(), plan.prefills(), "nobody begins while one is swapped out");
      plan = step(scheduler);
      plan.decodes().stream()
          .filter(sequence -> sequence.outputLength() == 30)
          .forEach(scheduler::finish);
    }
    assertSame(youngest, plan.swapIns().get(0).sequence());
    assertTrue(plan.decodes().contains(youngest));
    assertEquals(length + 1, youngest.cache().length(), "it goes on where it was");
    assertEquals(100, pools.swap().available());
  }

  @Test
  void testNobodyBeginsWhoMightKeepTheOldestFromItsEnd() {
    SchedulerPools pools = pools(12, 0, 4); // the swap area is too small for anyone
    Scheduler scheduler = scheduler(pools, 10, 1000, 10);
    for (int i = 0; i < 4; i++) {
      scheduler.add(sequence(i, 60, 30));
    }
    assertEquals(2, step(scheduler).prefills().size(), "the oldest can still grow to its longest");
  }

  @Test
  void testAStepCanBePlannedBeforeTheLastIsKnown() {
    Scheduler scheduler = scheduler(pools(100, 0, 0), 10, 1000, 0);
    SequenceState sequence = sequence(0, 10, 2);
    scheduler.add(sequence);
    StepPlan first = scheduler.plan();
    scheduler.submitted(first);
    StepPlan second = scheduler.plan();
    assertEquals(List.of(sequence), second.decodes());
    assertEquals(0, sequence.nextToken().length, "its token is not known");
    scheduler.submitted(second);
    assertTrue(scheduler.plan().isEmpty(), "its last token is on its way");
    scheduler.fed(first.prefills().get(0));
    scheduler.drew(sequence, 5);
    scheduler.drew(sequence, 6);
    assertEquals(2, sequence.outputLength());
    assertFalse(scheduler.isIdle());
    scheduler.finish(sequence);
    assertTrue(scheduler.isIdle());
  }

  @Test
  void testAScoredPromptEndsWithItsLastPart() {
    SchedulerPools pools = pools(20, 0, 0);
    Scheduler scheduler = scheduler(pools, 2, 64, 0);
    SequenceState scored = SequenceState.scored(0, IntStream.range(0, 100).toArray(), 7);
    scheduler.add(scored);
    StepPlan first = scheduler.plan();
    scheduler.submitted(first);
    StepPlan second = scheduler.plan();
    assertEquals(List.of(new Part(scored, 64, 100)), second.prefills());
    scheduler.submitted(second);
    assertTrue(scheduler.plan().isEmpty(), "all of it is on its way");
    scheduler.fed(first.prefills().get(0));
    assertSame(Phase.RUNNING, scored.phase());
    scheduler.fed(second.prefills().get(0));
    assertSame(Phase.ENDED, scored.phase());
    assertTrue(scheduler.isIdle());
    assertEquals(20, pools.pages().available());
  }

  /** What is shared is never fed, and only rows that are fed can be scored. */
  @Test
  void testAScoredPromptSharesUpToItsFirstScoredToken() {
    Scheduler scheduler = scheduler(pools(100, 0, 0), 10, 1000, 0);
    int[] prompt = IntStream.range(0, 120).toArray();
    scheduler.add(sequence(0, prompt, 5));
    scheduler.add(sequence(1, prompt, 5));
    step(scheduler);
    step(scheduler); // the second has waited for what both want
    for (int firstScored : new int[] {31, 32, 95, 96, 119}) {
      SequenceState scored = SequenceState.scored(2, prompt, firstScored);
      scheduler.add(scored);
      StepPlan plan = scheduler.plan();
      scheduler.submitted(plan);
      Part part = plan.prefills().get(0);
      assertEquals(firstScored / 32 * 32, part.from());
      assertEquals(part.from(), scored.cachedTokens());
      scheduler.fed(part);
      plan.decodes().forEach(sequence -> scheduler.drew(sequence, 7));
    }
  }

  @Test
  void testABatchThatWasFullIsFilledSeveralAtATime() {
    SchedulerLimits limits = new SchedulerLimits(10, 1000, 0, 0.8, 1, false);
    Scheduler scheduler = new Scheduler(FP16, pools(1000, 0, 0), limits);
    for (int i = 0; i < 14; i++) {
      scheduler.add(sequence(i, 5, 50));
    }
    List<SequenceState> first = prefilled(step(scheduler));
    assertEquals(10, first.size());
    scheduler.end(first.get(0));
    assertEquals(0, step(scheduler).prefills().size());
    scheduler.end(first.get(1));
    assertEquals(2, step(scheduler).prefills().size());
  }

  @Test
  void testALongPromptBeginsWhenTheOneBeforeItIsStagedNoMore() {
    CacheLayout coded = layout(CachePolicy.KIVI2);
    int staging = (int) MemoryPlan.pagesOf(coded.staging(), 300); // of one prompt
    SchedulerLimits limits = new SchedulerLimits(10, 128, 0, 0.97, 1, false);
    Scheduler scheduler = new Scheduler(coded, pools(1000, staging, 0), limits);
    SequenceState first = sequence(0, 300, 50);
    SequenceState second = sequence(1, 300, 50);
    scheduler.add(first);
    scheduler.add(second);
    StepPlan plan = step(scheduler);
    while (!first.isPrefilled()) {
      assertEquals(List.of(first), prefilled(plan));
      plan = step(scheduler);
    }
    assertEquals(
        List.of(first), prefilled(plan), "its end leaves room in the step, but no staging");
    assertEquals(List.of(new Part(second, 0, 128)), step(scheduler).prefills());
  }

  @Test
  void testTheLineMovesWhenItsHeadGivesUp() {
    SchedulerLimits limits = new SchedulerLimits(10, 1000, 0, 0.97, 1, true);
    Scheduler scheduler = new Scheduler(FP16, pools(LAYERS * 20, 0, 0), limits);
    SequenceState running = sequence(0, 60, 200);
    SequenceState large = sequence(1, 600, 8);
    SequenceState small = sequence(2, 3, 3);
    List.of(running, large, small).forEach(scheduler::add);
    assertEquals(List.of(running), prefilled(step(scheduler)));
    assertEquals(List.of(), prefilled(step(scheduler)));
    scheduler.end(large);
    assertEquals(List.of(small), prefilled(step(scheduler)));
  }
}
