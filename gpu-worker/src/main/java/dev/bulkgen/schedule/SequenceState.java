package dev.bulkgen.schedule;

import dev.bulkgen.cache.PrefixIndex;
import dev.bulkgen.cache.SequenceCache;
import java.util.Arrays;

/**
 * One prompt with one sample in flight, or one that is scored and draws nothing: how far its tokens
 * are, its share of the cache, and where it stands. A token counts as drawn from the moment its
 * step is submitted; what it is becomes known when the step has been waited for.
 */
public final class SequenceState {
  /** WAITING → RUNNING ⇄ SWAPPED → ENDED; any may end at once. */
  public enum Phase {
    WAITING,
    RUNNING,
    SWAPPED,
    ENDED
  }

  private final long id;
  private final int[] prompt;
  private final int maxTokens;
  private final int firstNeeded;
  private int known;
  private int unknown;
  private int newest;
  private int cachedTokens;
  private Phase phase = Phase.WAITING;
  private SequenceCache cache;
  private PrefixIndex.Path path;
  private int mostPages;

  /**
   * @param id for messages; unique among the sequences of a scheduler
   * @param prompt token ids, at least one
   * @param maxTokens most tokens that will be generated, at least 1
   */
  public SequenceState(long id, int[] prompt, int maxTokens) {
    this(id, prompt, maxTokens, prompt.length - 1);
    if (maxTokens < 1) {
      throw new IllegalArgumentException("sequence " + id + ": at most " + maxTokens + " tokens");
    }
  }

  private SequenceState(long id, int[] prompt, int maxTokens, int firstNeeded) {
    if (firstNeeded < 0 || firstNeeded >= prompt.length) {
      throw new IllegalArgumentException(
          "sequence " + id + ": token " + firstNeeded + " of " + prompt.length + " is needed");
    }
    this.id = id;
    this.prompt = prompt;
    this.maxTokens = maxTokens;
    this.firstNeeded = firstNeeded;
  }

  /**
   * A prompt that is scored: it ends with its last part.
   *
   * @param firstScored the first of its tokens whose logits are needed
   */
  public static SequenceState scored(long id, int[] prompt, int firstScored) {
    return new SequenceState(id, prompt, 0, firstScored);
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

  /** The share of the cache, in the swap area while swapped out; null before and after. */
  public SequenceCache cache() {
    return cache;
  }

  /** Tokens drawn that are known. */
  public int outputLength() {
    return known;
  }

  /** Prompt tokens that another sequence had prefilled. */
  public int cachedTokens() {
    return cachedTokens;
  }

  /** A part of the prompt, which the caller does not write. */
  public int[] promptTokens(int from, int to) {
    return from == 0 && to == prompt.length ? prompt : Arrays.copyOfRange(prompt, from, to);
  }

  /** What a decode step feeds: the newest token, none where it is not known yet. */
  public int[] nextToken() {
    return unknown > 0 ? new int[0] : new int[] {newest};
  }

  /** Whether the whole prompt is fed. */
  boolean isPrefilled() {
    return cache.length() >= prompt.length;
  }

  /** Whether another token may be drawn. */
  boolean hasMore() {
    return known + unknown < maxTokens;
  }

  boolean awaitsToken() {
    return unknown > 0;
  }

  int drawn() {
    return known + unknown;
  }

  int[] prompt() {
    return prompt;
  }

  /** The first token of the prompt whose logits are needed; those before it can be shared. */
  int firstNeeded() {
    return firstNeeded;
  }

  boolean isScored() {
    return maxTokens == 0;
  }

  PrefixIndex.Path path() {
    return path;
  }

  /** Pages of a layer that it may come to hold. */
  int mostPages() {
    return mostPages;
  }

  void wait(PrefixIndex.Path way, int most) {
    path = way;
    mostPages = most;
  }

  void start(SequenceCache share) {
    phase = Phase.RUNNING;
    cache = share;
    cachedTokens = share.length();
  }

  void move(Phase to, SequenceCache share) {
    phase = to;
    cache = share;
  }

  /**
   * A step that feeds {@code tokens} is on its way.
   *
   * @param draws whether a token, or the end of a scored prompt, is to come of it
   */
  void submitted(int tokens, boolean draws) {
    cache.advance(tokens);
    unknown += draws ? 1 : 0;
  }

  void drew(int token) {
    if (unknown == 0) {
      throw new IllegalStateException("sequence " + id + " waits for no token");
    }
    unknown--;
    known++;
    newest = token;
  }

  void end() {
    phase = Phase.ENDED;
    cache = null;
    path = null;
  }
}
