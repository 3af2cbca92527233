package dev.bulkgen.backend;

import dev.bulkgen.backend.SequenceStep.Kind;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.PageTable;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.Sampler;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.Random;

/** Drives a backend as the engine does: takes pages, runs steps, advances lengths. */
public final class BackendSession implements AutoCloseable {
  private final Backend backend;
  private final CacheLayout layout;
  private final PagePool pool;
  private final PagePool stagingPool;
  private final PagePool swapPool;
  private final Deque<Integer> freeSlots = new ArrayDeque<>();
  private final Deque<Integer> freeSwapSlots = new ArrayDeque<>();
  private int nextSlot;

  /** Opens a backend for a model and a layout. */
  @FunctionalInterface
  public interface Opener {
    Backend open(ModelWeights weights, CacheLayout layout, CacheCapacity capacity, int threads);
  }

  /**
   * Whole prompts only.
   *
   * @param length tokens a sequence may grow to
   * @param shuffle seed of the order in which pages are handed out; 0 leaves it as it is
   */
  public BackendSession(
      Opener opener,
      ModelWeights weights,
      CacheLayout layout,
      int sequences,
      int length,
      int threads,
      long shuffle) {
    this(
        opener,
        weights,
        layout,
        new CacheCapacity(
            sequences * layout.layers() * layout.pagesPerLayer(length),
            sequences,
            sequences * length),
        threads,
        shuffle);
  }

  public BackendSession(
      Opener opener,
      ModelWeights weights,
      CacheLayout layout,
      CacheCapacity capacity,
      int threads,
      long shuffle) {
    this.layout = layout;
    pool = new PagePool(capacity.pages());
    stagingPool = new PagePool(capacity.stagingPages());
    swapPool = new PagePool(capacity.swapPages());
    if (shuffle != 0) {
      shufflePages(pool, shuffle);
      shufflePages(stagingPool, shuffle);
      shufflePages(swapPool, shuffle);
    }
    for (int slot = 0; slot < capacity.swapSlots(); slot++) {
      freeSwapSlots.add(slot);
    }
    backend = opener.open(weights, layout, capacity, threads);
  }

  /**
   * Room for all that a session can do with {@code sequences} of up to {@code length} tokens, as
   * many swapped out, and one prefix that outlives them.
   *
   * @param prefillTokens the most prompt tokens of a step
   */
  public static CacheCapacity room(
      CacheLayout layout, int sequences, int length, int prefillTokens) {
    int pages = layout.layers() * layout.pagesPerLayer(length);
    int staging = layout.isExact() ? 0 : layout.layers() * layout.staging().pagesPerLayer(length);
    return new CacheCapacity(
        (sequences + 1) * pages,
        sequences,
        prefillTokens,
        length,
        (sequences + 1) * staging,
        sequences * pages,
        sequences);
  }

  private static void shufflePages(PagePool pool, long seed) {
    List<PageTable> tables = new ArrayList<>();
    while (pool.available() > 0) {
      PageTable table = new PageTable(1);
      pool.grow(table, 1);
      tables.add(table);
    }
    Collections.shuffle(tables, new Random(seed));
    tables.forEach(pool::release);
  }

  public Backend backend() {
    return backend;
  }

  public CacheLayout layout() {
    return layout;
  }

  public SequenceCache newSequence() {
    int slot = freeSlots.isEmpty() ? nextSlot++ : freeSlots.poll();
    return new SequenceCache(slot, layout.layers());
  }

  /** Gives pages, staging pages and slot back. */
  public void release(SequenceCache cache) {
    pool.release(cache.pages());
    stagingPool.release(cache.staging());
    freeSlots.add(cache.slot());
  }

  /** Gives the staging pages back, as when a prompt is prefilled. */
  public void releaseStaging(SequenceCache cache) {
    stagingPool.release(cache.staging());
  }

  /** Takes staging pages, so that the exact K and V of the first {@code tokens} are kept. */
  public void stage(SequenceCache cache, int tokens) {
    if (!layout.isExact()) {
      stagingPool.grow(cache.staging(), layout.staging().pagesPerLayer(tokens));
    }
  }

  /** All pages are back. */
  public boolean isIdle() {
    return pool.available() == pool.total()
        && stagingPool.available() == stagingPool.total()
        && swapPool.available() == swapPool.total();
  }

  /** What to feed to one sequence. */
  public record Feed(
      SequenceCache cache, Sampler sampler, LogitsRequest logits, Kind kind, int... tokens) {

    /** A whole prompt where nothing is cached, else a token to decode. */
    public Feed(SequenceCache cache, LogitsRequest logits, int... tokens) {
      this(cache, logits, cache.length() == 0 ? Kind.PROMPT_END : Kind.DECODE, tokens);
    }

    public Feed(SequenceCache cache, LogitsRequest logits, Kind kind, int... tokens) {
      this(cache, new GreedySampler(), logits, kind, tokens);
    }
  }

  public List<StepOutput.SequenceOutput> step(List<Feed> feeds) {
    return submit(feeds).await().sequences();
  }

  /** Starts a step; lengths are then those after it. */
  public Backend.PendingStep submit(List<Feed> feeds) {
    return submitSteps(
        feeds.stream()
            .map(f -> new SequenceStep(f.cache, f.tokens, f.sampler, f.logits, f.kind))
            .toList());
  }

  /** Starts a step, whose pages are taken here; lengths are then those after it. */
  public Backend.PendingStep submitSteps(List<SequenceStep> steps) {
    for (SequenceStep step : steps) {
      if (step.kind() == Kind.PROMPT_PART && !layout.isExact()) {
        stage(step.cache(), step.lengthAfter());
      } else {
        pool.grow(step.cache().pages(), layout.pagesPerLayer(step.lengthAfter()));
      }
    }
    Backend.PendingStep pending = backend.submit(new StepBatch(steps));
    for (SequenceStep step : steps) {
      step.cache().advance(step.lengthAfter() - step.cache().length());
    }
    return pending;
  }

  /** Feeds one sequence alone and returns its token and logits. */
  public StepOutput.Token step(SequenceCache cache, LogitsRequest logits, int... tokens) {
    return (StepOutput.Token) step(List.of(new Feed(cache, logits, tokens))).get(0);
  }

  /** Gives {@code to} what {@code from} has cached. */
  public void copy(SequenceCache from, SequenceCache to) {
    pool.grow(to.pages(), layout.pagesPerLayer(from.length()));
    backend.copyCache(from, to);
    to.advance(from.length());
  }

  /**
   * What is kept of a beginning that prompts have in common: it holds the pages too.
   *
   * @param prompt tokens of the prompt whose sequence has filled the pages
   */
  public record Prefix(int tokens, int prompt, PageTable pages, PageTable staging) {}

  /** Keeps the first {@code tokens} of a sequence's prompt, whose staging pages it still holds. */
  public Prefix keep(SequenceCache cache, int tokens, int prompt) {
    PageTable pages = new PageTable(layout.layers());
    PageTable staging = new PageTable(layout.layers());
    adopt(pool, cache.pages(), pages, wholePages(tokens, prompt));
    int staged = layout.isExact() ? 0 : layout.staging().pagesPerLayer(tokens);
    adopt(stagingPool, cache.staging(), staging, staged);
    return new Prefix(tokens, prompt, pages, staging);
  }

  /** Pages that hold tokens of the prefix alone and that a whole prompt completes. */
  private int wholePages(int prefix, int prompt) {
    int pages = layout.completePages(prompt);
    while (layout.tokensBefore(pages) > prefix) {
      pages--;
    }
    return pages;
  }

  private void adopt(PagePool owner, PageTable from, PageTable to, int count) {
    for (int layer = 0; layer < layout.layers(); layer++) {
      for (int i = 0; i < count; i++) {
        owner.adopt(to, layer, from.page(layer, i));
      }
    }
  }

  /** A sequence that begins with {@code prefix} and whose prompt is to have that many tokens. */
  public SequenceCache begin(Prefix prefix, int promptTokens) {
    SequenceCache cache = newSequence();
    int pages = wholePages(prefix.tokens, Math.min(promptTokens, prefix.prompt));
    adopt(pool, prefix.pages, cache.pages(), pages);
    adopt(stagingPool, prefix.staging, cache.staging(), prefix.staging.count(0));
    cache.beginShared(prefix.tokens, pages);
    return cache;
  }

  public void release(Prefix prefix) {
    pool.release(prefix.pages);
    stagingPool.release(prefix.staging);
  }

  /** Moves a sequence to the swap area; its pages and its slot are free for others. */
  public SequenceCache swapOut(SequenceCache cache) {
    SequenceCache swapped = new SequenceCache(freeSwapSlots.poll(), layout.layers());
    swapPool.grow(swapped.pages(), cache.pages().count(0));
    backend.swapOut(cache, swapped);
    swapped.advance(cache.length());
    release(cache);
    return swapped;
  }

  /** Moves it back, into the slot that has been free for longest. */
  public SequenceCache swapIn(SequenceCache swapped) {
    SequenceCache cache = newSequence();
    pool.grow(cache.pages(), swapped.pages().count(0));
    backend.swapIn(swapped, cache);
    cache.advance(swapped.length());
    swapPool.release(swapped.pages());
    freeSwapSlots.add(swapped.slot());
    return cache;
  }

  /**
   * The logits that choose each of {@code count} tokens after a prompt, fed with {@code forced}
   * whatever they say: [count][vocabSize].
   */
  public float[][] teacherForced(int[] prompt, int[] forced, int count) {
    SequenceCache cache = newSequence();
    float[][] rows = new float[count][];
    rows[0] = step(cache, LogitsRequest.LAST, prompt).logits()[0];
    for (int i = 1; i < count; i++) {
      rows[i] = step(cache, LogitsRequest.LAST, forced[i - 1]).logits()[0];
    }
    return rows;
  }

  @Override
  public void close() {
    backend.close();
  }
}
