package dev.bulkgen.backend;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.PagePool;
import dev.bulkgen.cache.PageTable;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.model.ModelWeights;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/** Drives a backend as the engine does: takes pages, runs steps, advances lengths. */
public final class BackendSession implements AutoCloseable {
  private final Backend backend;
  private final CacheLayout layout;
  private final PagePool pool;
  private int nextSlot;

  /** Opens a backend for a model and a layout. */
  @FunctionalInterface
  public interface Opener {
    Backend open(ModelWeights weights, CacheLayout layout, CacheCapacity capacity, int threads);
  }

  /**
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
    this.layout = layout;
    int pages = sequences * layout.layers() * layout.pagesPerLayer(length);
    pool = new PagePool(pages);
    if (shuffle != 0) {
      shufflePages(pages, shuffle);
    }
    CacheCapacity capacity = new CacheCapacity(pages, sequences, sequences * length);
    backend = opener.open(weights, layout, capacity, threads);
  }

  private void shufflePages(int pages, long seed) {
    List<PageTable> tables = new ArrayList<>();
    for (int i = 0; i < pages; i++) {
      tables.add(new PageTable(1));
      pool.grow(tables.get(i), 1);
    }
    Collections.shuffle(tables, new Random(seed));
    tables.forEach(pool::release);
  }

  public Backend backend() {
    return backend;
  }

  public SequenceCache newSequence() {
    return new SequenceCache(nextSlot++, layout.layers());
  }

  public void release(SequenceCache cache) {
    pool.release(cache.pages());
  }

  /** What to feed to one sequence. */
  public record Feed(SequenceCache cache, LogitsRequest logits, int... tokens) {}

  public List<StepOutput.SequenceOutput> step(List<Feed> feeds) {
    List<SequenceStep> steps = new ArrayList<>();
    for (Feed feed : feeds) {
      int length = feed.cache.length() + feed.tokens.length;
      pool.grow(feed.cache.pages(), layout.pagesPerLayer(length));
      steps.add(new SequenceStep(feed.cache, feed.tokens, new GreedySampler(), feed.logits));
    }
    StepOutput output = backend.forward(new StepBatch(steps));
    feeds.forEach(feed -> feed.cache.advance(feed.tokens.length));
    return output.sequences();
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
