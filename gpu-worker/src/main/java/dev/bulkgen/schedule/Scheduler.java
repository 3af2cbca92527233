package dev.bulkgen.schedule;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.PrefixIndex;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.schedule.SequenceState.Phase;
import dev.bulkgen.schedule.StepPlan.Part;
import dev.bulkgen.schedule.StepPlan.Swap;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.IntSupplier;

/**
 * Decides who is in the next step: continuous batching (Yu et al., "Orca", OSDI 2022, §3.1), where
 * sequences join and leave at every step. First come, first served: while the oldest waiting
 * sequence does not fit, none behind it is admitted; one whose beginning another is just prefilling
 * lets others pass.
 *
 * <p>Pages are taken as sequences grow. When they run out, prefixes that nobody uses go first, then
 * the youngest sequences are swapped out; they come back, oldest first, before anyone new begins
 * (see {@link Admission} for why that always ends well). What a sequence has generated is never
 * computed again.
 *
 * <p>A step is {@link #plan planned}, then {@link #submitted}; a second may be planned before the
 * first is known. Pure: no device, clock or thread; the same calls give the same steps.
 */
public final class Scheduler {
  private final CacheLayout layout;
  private final SchedulerPools pools;
  private final SchedulerLimits limits;
  private final PrefixIndex prefixes;
  private final LengthForecast forecast;
  private final Admission admission;
  private final CachePlaces device;
  private final CachePlaces swapArea;
  private final Set<SequenceState> waiting = new LinkedHashSet<>();
  private final Set<SequenceState> flight = new LinkedHashSet<>(); // running and swapped, by age
  private int swappedCount;
  private int lastFull;
  private boolean satOut;

  public Scheduler(CacheLayout layout, SchedulerPools pools, SchedulerLimits limits) {
    this.layout = layout;
    this.pools = pools;
    this.limits = limits;
    device = new CachePlaces(pools.pages(), limits.slots(), layout.layers());
    swapArea = new CachePlaces(pools.swap(), limits.swapSlots(), layout.layers());
    forecast = new LengthForecast(limits.expectedTokens());
    prefixes = new PrefixIndex(layout, pools.pages(), pools.staging());
    admission = new Admission(layout, pools.pages(), prefixes, forecast);
  }

  /**
   * Queues a sequence.
   *
   * @throws IllegalArgumentException if it could not run even alone
   */
  public void add(SequenceState sequence) {
    if (admission.worstCase(sequence) > pools.pages().total()) {
      throw new IllegalArgumentException(
          "sequence %d: needs up to %d pages of %d"
              .formatted(sequence.id(), admission.worstCase(sequence), pools.pages().total()));
    }
    if (sequence.promptLength() > limits.prefillTokens() && !canBeCut(sequence)) {
      throw new IllegalArgumentException(
          "sequence %d: a prompt of %d tokens, but a step takes %d and %d pages hold parts"
              .formatted(
                  sequence.id(),
                  sequence.promptLength(),
                  limits.prefillTokens(),
                  pools.staging().total()));
    }
    sequence.wait(
        limits.sharesPrefixes()
            ? prefixes.enter(sequence.prompt(), sequence.firstNeeded())
            : PrefixIndex.unshared(),
        layout.pagesPerLayer(sequence.longest()));
    waiting.add(sequence);
  }

  private boolean canBeCut(SequenceState sequence) {
    return limits.prefillTokens() >= layout.promptAlignment()
        && stagingPages(sequence.promptLength()) * layout.layers() <= pools.staging().total();
  }

  /** Staging pages of a layer for {@code tokens} of a prompt. */
  private int stagingPages(int tokens) {
    return layout.isExact() ? 0 : layout.staging().pagesPerLayer(tokens);
  }

  /**
   * Takes pages and slots and says what the coming step does; may be empty.
   *
   * @throws IllegalStateException if nobody can go on, which the admission rules out
   */
  public StepPlan plan() {
    List<SequenceState> decodes = new ArrayList<>(flight.size());
    boolean inParts = false;
    for (SequenceState sequence : flight) {
      if (sequence.phase() == Phase.RUNNING) {
        if (!sequence.isPrefilled()) {
          inParts = true;
        } else if (sequence.hasMore()) {
          decodes.add(sequence);
        }
      }
    }
    List<Swap> swapOuts = new ArrayList<>();
    satOut = false;
    makeRoom(decodes, swapOuts);
    for (SequenceState sequence : decodes) {
      if (growth(sequence) > 0) {
        grow(sequence.cache(), sequence.cache().length() + 1);
      }
    }
    boolean hasRoom = swapOuts.isEmpty() && !satOut;
    List<Swap> swapIns = hasRoom && swappedCount > 0 ? swapIn(decodes) : List.of();
    List<Part> parts = new ArrayList<>();
    int left = inParts ? continuePrompts(parts) : limits.prefillTokens();
    if (swappedCount == 0 && !satOut) {
      admit(left, parts);
    }
    StepPlan plan = new StepPlan(swapOuts, swapIns, decodes, parts);
    boolean isStuck = plan.isEmpty() && flight.stream().noneMatch(SequenceState::awaitsToken);
    if (isStuck && !isIdle()) {
      throw new IllegalStateException(
          "%d sequences in flight and %d waiting, but none can go on"
              .formatted(flight.size(), waiting.size()));
    }
    return plan;
  }

  /** Pages of a layer that the next token of a sequence needs. */
  private int growth(SequenceState sequence) {
    SequenceCache cache = sequence.cache();
    return Math.max(0, layout.pagesPerLayer(cache.length() + 1) - cache.pages().count(0));
  }

  private void grow(SequenceCache cache, int length) {
    pools.pages().grow(cache.pages(), layout.pagesPerLayer(length));
  }

  /** Leaves in {@code decodes} those that can go on, and swaps others out for them. */
  private void makeRoom(List<SequenceState> decodes, List<Swap> swapOuts) {
    int needed = 0;
    for (SequenceState sequence : decodes) {
      needed += growth(sequence);
    }
    while (needed > 0 && !canGrow(decodes, needed)) {
      int last = decodes.size() - 1;
      boolean swaps = last > 0 && canSwap(decodes.get(last));
      // Where nobody can be swapped out, the youngest that would grow sits this step out.
      while (!swaps && growth(decodes.get(last)) == 0) {
        last--;
      }
      SequenceState youngest = decodes.remove(last);
      needed -= growth(youngest);
      if (swaps) {
        swapOuts.add(swapOut(youngest));
      }
      satOut |= !swaps;
    }
  }

  private boolean canGrow(List<SequenceState> decodes, int needed) {
    return makeFree(pools.pages(), () -> needed, true)
        && admission.lets(decodes, this::growth, flight);
  }

  private boolean canSwap(SequenceState sequence) {
    return sequence.outputLength() > 0 && swapArea.hasPlaceFor(sequence.cache());
  }

  private Swap swapOut(SequenceState sequence) {
    SequenceCache from = sequence.cache();
    SequenceCache to = swapArea.takeFor(from);
    // Shared pages are copied as well: whoever they belong to may be gone by the time of return.
    device.leaveAfterCopy(from);
    prefixes.stopReading(sequence.path());
    sequence.move(Phase.SWAPPED, to);
    swappedCount++;
    return new Swap(sequence, from, to);
  }

  /** Brings back whom it can, beside a page of every layer for each that runs. */
  private List<Swap> swapIn(List<SequenceState> decodes) {
    List<Swap> swapIns = new ArrayList<>();
    for (SequenceState sequence : flight) {
      if (sequence.phase() != Phase.SWAPPED) {
        continue;
      }
      int pages = sequence.cache().pages().count(0) + growth(sequence);
      boolean fits =
          runningCount() < limits.slots()
              && !sequence.awaitsToken()
              && makeFree(pools.pages(), () -> pages + decodes.size(), runningCount() == 0)
              && admission.takesBack(sequence, pages, flight);
      if (!fits) {
        break;
      }
      SequenceCache from = sequence.cache();
      SequenceCache to = device.takeFor(from);
      swapArea.leaveAfterCopy(from);
      sequence.move(Phase.RUNNING, to);
      swappedCount--;
      grow(to, to.length() + 1);
      swapIns.add(new Swap(sequence, from, to));
      decodes.add(sequence);
    }
    return swapIns;
  }

  /** Gives up prefixes for pages of every layer, more of them if they are the asker's own. */
  private boolean makeFree(PagePool pool, IntSupplier needed, boolean wantedToo) {
    while (needed.getAsInt() * layout.layers() > pool.available()) {
      if (!prefixes.evict(wantedToo)) {
        return false;
      }
    }
    return true;
  }

  /** The tokens left for other prompts. */
  private int continuePrompts(List<Part> parts) {
    int left = limits.prefillTokens();
    for (SequenceState sequence : flight) {
      if (sequence.phase() == Phase.RUNNING && !sequence.isPrefilled()) {
        int from = sequence.cache().length();
        int tokens = cut(sequence.promptLength() - from, left);
        if (tokens == 0) {
          return 0;
        }
        parts.add(new Part(sequence, from, from + tokens));
        left -= tokens;
      }
    }
    return left;
  }

  private int cut(int tokens, int left) {
    return tokens <= left ? tokens : left - left % layout.promptAlignment();
  }

  private void admit(int left, List<Part> parts) {
    if (lastFull > 0 && runningCount() > limits.fillTarget() * lastFull) {
      return; // it is still about as full as it was
    }
    lastFull = 0;
    Iterator<SequenceState> candidates = waiting.iterator();
    while (candidates.hasNext() && left > 0) {
      SequenceState next = candidates.next();
      if (prefixes.isPending(next.path())) {
        continue;
      }
      if (partOf(next, left) == 0) {
        return;
      }
      if (!fits(next)) {
        lastFull = runningCount();
        return;
      }
      Optional<Part> part = begin(next, left);
      if (part.isEmpty()) {
        return; // staging pages come free when a prompt ends, which may be long before its sequence
      }
      candidates.remove();
      parts.add(part.get());
      left -= part.get().tokens();
    }
  }

  /** Tokens of the prompt that fit this step; a prompt that a later step takes whole is not cut. */
  private int partOf(SequenceState next, int left) {
    int rest = next.promptLength() - prefixes.readyTokens(next.path());
    return rest > left && rest <= limits.prefillTokens() ? 0 : cut(rest, left);
  }

  /** Whether there is a slot, and pages now and later. */
  private boolean fits(SequenceState next) {
    return runningCount() < limits.slots() && hasPages(next) && admission.takes(next, flight);
  }

  /** Whether the pages of its prompt are free; alone, it may have to give up its own beginning. */
  private boolean hasPages(SequenceState next) {
    int length = next.promptLength();
    prefixes.touch(next.path());
    IntSupplier needed =
        () -> layout.pagesPerLayer(length) - prefixes.sharedPages(next.path(), length);
    return makeFree(pools.pages(), needed, runningCount() == 0);
  }

  /** Takes a slot, all pages of the prompt and what it stages; empty if that does not fit now. */
  private Optional<Part> begin(SequenceState next, int left) {
    PrefixIndex.Path path = next.path();
    int length = next.promptLength();
    int tokens = partOf(next, left);
    boolean whole = prefixes.readyTokens(path) + tokens == length;
    int staged = whole ? prefixes.sharedTokens(path) : length;
    while (!stagingRoom(path, staged, whole)) {
      if (!whole) {
        return Optional.empty();
      }
      staged -= layout.promptAlignment(); // shares less
    }
    SequenceCache cache = device.take();
    prefixes.begin(path, cache, length, Math.min(staged, prefixes.sharedTokens(path)));
    if (!whole) {
      pools.staging().grow(cache.staging(), stagingPages(length));
    }
    grow(cache, length);
    next.start(cache);
    flight.add(next);
    return Optional.of(new Part(next, cache.length(), cache.length() + tokens));
  }

  /** Whether there are staging pages for a prompt up to {@code tokens}, beside those ready. */
  private boolean stagingRoom(PrefixIndex.Path path, int tokens, boolean whole) {
    // A prompt in parts cannot begin without; alone, it takes what others only wait for.
    return makeFree(
        pools.staging(),
        () -> stagingPages(tokens) - stagingPages(prefixes.readyTokens(path)),
        !whole && runningCount() == 0);
  }

  /** The backend has taken the step. */
  public void submitted(StepPlan plan) {
    plan.decodes().forEach(sequence -> sequence.submitted(1, true));
    plan.prefills().forEach(part -> part.sequence().submitted(part.tokens(), part.endsPrompt()));
  }

  /** The step that fed a part of a prompt is done; others can build on it. A scored one may end. */
  public void fed(Part part) {
    SequenceState sequence = part.sequence();
    if (sequence.phase() == Phase.RUNNING) {
      prefixes.fed(sequence.path(), sequence.cache(), part.to());
      if (part.endsPrompt()) {
        prefixes.promptEnded(sequence.path(), sequence.cache(), sequence.promptLength());
        if (sequence.isScored()) {
          end(sequence);
        }
      }
    }
  }

  /** The next token of a sequence that awaits one is known. */
  public void drew(SequenceState sequence, int token) {
    sequence.drew(token);
  }

  /** Takes out a sequence that is complete, and learns from its length; nothing if it has ended. */
  public void finish(SequenceState sequence) {
    if (sequence.phase() != Phase.ENDED) {
      forecast.ended(sequence.outputLength());
      end(sequence);
    }
  }

  /** Takes a sequence out, failed or cancelled. Does nothing if it has ended. */
  public void end(SequenceState sequence) {
    if (sequence.phase() == Phase.ENDED) {
      return;
    }
    prefixes.leave(sequence.path());
    if (waiting.remove(sequence)) {
      lastFull = 0; // who is first now may fit where it did not
    }
    flight.remove(sequence);
    SequenceCache cache = sequence.cache();
    if (sequence.phase() == Phase.RUNNING) {
      device.leave(cache);
      pools.staging().release(cache.staging());
    } else if (sequence.phase() == Phase.SWAPPED) {
      swapArea.leave(cache);
      swappedCount--;
    }
    sequence.end();
  }

  public int waitingCount() {
    return waiting.size();
  }

  public int runningCount() {
    return flight.size() - swappedCount;
  }

  public int swappedCount() {
    return swappedCount;
  }

  public boolean isIdle() {
    return waiting.isEmpty() && flight.isEmpty();
  }
}
