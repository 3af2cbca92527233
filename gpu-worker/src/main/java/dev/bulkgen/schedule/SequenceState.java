package dev.bulkgen.schedule;

import dev.bulkgen.cache.SequenceCache;
import java.util.Arrays;

/**
 * One prompt with one sample in flight: its tokens, its share of the cache, and where it stands.
 */
public final class SequenceState {
  /** The one way is WAITING → RUNNING → ENDED; a waiting sequence may end at once. */
  public enum Phase {
    WAITING,
    RUNNING,
    ENDED
  }

  private final long id;
  private final int[] prompt;
  private final int maxTokens;
  private int[] output = new int[16];
  private int outputCount;
  private Phase phase = Phase.WAITING;
  private SequenceCache cache;
  private long reservedPages;

  /**
   * @param id for messages; unique among the sequences of a scheduler
   * @param prompt token ids, at least one
   * @param maxTokens most tokens that will be generated, at least 1
   */
  public SequenceState(long id, int[] prompt, int maxTokens) {
    if (prompt.length == 0 || maxTokens < 1) {
      throw new IllegalArgumentException(
          "sequence " + id + ": " + prompt.length + " prompt tokens, at most " + maxTokens);
    }
    this.id = id;
    this.prompt = prompt;
    this.maxTokens = maxTokens;
  }

  public long id() {
    return id;
  }

  public int promptLength() {
    return prompt.length;
  }

  public int maxTokens() {
    return maxTokens;
  }

  /** Tokens of prompt and output together if it generates all it may. */
  public int longest() {
    return prompt.length + maxTokens;
  }

  public Phase phase() {
    return phase;
  }

  /** The share of the cache; null unless running. */
  public SequenceCache cache() {
    return cache;
  }

  public int outputLength() {
    return outputCount;
  }

  /** The generated tokens so far, a copy. */
  public int[] output() {
    return Arrays.copyOf(output, outputCount);
  }

  /** What the coming step feeds: the prompt, or the newest token. */
  public int[] nextTokens() {
    return cache.length() == 0 ? prompt : new int[] {output[outputCount - 1]};
  }

  long reservedPages() {
    return reservedPages;
  }

  void start(SequenceCache share, long pages) {
    phase = Phase.RUNNING;
    cache = share;
    reservedPages = pages;
  }

  void append(int token) {
    if (outputCount == maxTokens) {
      throw new IllegalStateException("sequence " + id + " has its " + maxTokens + " tokens");
    }
    if (outputCount == output.length) {
      output = Arrays.copyOf(output, 2 * outputCount);
    }
    output[outputCount++] = token;
  }

  void end() {
    phase = Phase.ENDED;
    cache = null;
    reservedPages = 0;
  }
}
