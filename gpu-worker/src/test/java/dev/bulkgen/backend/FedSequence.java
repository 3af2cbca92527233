package dev.bulkgen.backend;

import dev.bulkgen.backend.SequenceStep.Kind;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.SequenceCache;
import dev.bulkgen.model.ModelWeights;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A sequence on its way through a session: a prompt, cut or whole, and then tokens that it is fed
 * whatever it says. Keeps the logits of every token fed.
 */
final class FedSequence {
  final float[][] logits; // [tokens][vocabSize], null where another sequence was fed the token
  private final int[] tokens;
  private final int prompt;
  private SequenceCache cache;

  /**
   * @param tokens of the prompt and after it
   */
  FedSequence(int[] tokens, int prompt) {
    this.tokens = tokens;
    this.prompt = prompt;
    logits = new float[tokens.length][];
  }

  /** What {@code tokens} give alone, the prompt whole. */
  static float[][] alone(
      BackendSession.Opener opener,
      ModelWeights weights,
      CacheLayout layout,
      int[] tokens,
      int prompt) {
    FedSequence sequence = new FedSequence(tokens, prompt);
    try (BackendSession session =
        new BackendSession(opener, weights, layout, 1, tokens.length, 1, 0)) {
      sequence.start(session.newSequence());
      while (!sequence.isDone()) {
        step(session, List.of(sequence), List.of(sequence.feed(prompt)));
      }
    }
    return sequence.logits;
  }

  /** Runs all together, each prompt cut at its {@code cuts}. */
  static void run(BackendSession session, List<FedSequence> sequences, int[][] cuts) {
    while (!sequences.stream().allMatch(FedSequence::isDone)) {
      List<FedSequence> fed = new ArrayList<>();
      List<BackendSession.Feed> feeds = new ArrayList<>();
      for (int i = 0; i < sequences.size(); i++) {
        FedSequence sequence = sequences.get(i);
        if (!sequence.isDone()) {
          int length = sequence.cache.length();
          int end = Arrays.stream(cuts[i]).filter(cut -> cut > length).findFirst().orElse(1 << 20);
          fed.add(sequence);
          feeds.add(sequence.feed(end));
        }
      }
      step(session, fed, feeds);
    }
  }

  /** Runs one step and hands everyone its logits. */
  static void step(
      BackendSession session, List<FedSequence> sequences, List<BackendSession.Feed> feeds) {
    List<StepOutput.SequenceOutput> outputs = session.step(feeds);
    for (int i = 0; i < feeds.size(); i++) {
      FedSequence sequence = sequences.get(i);
      sequence.take(outputs.get(i), feeds.get(i).tokens().length);
      if (sequence.cache.length() == sequence.prompt) {
        session.releaseStaging(sequence.cache);
      }
    }
  }

  /** Keeps the logits of the {@code count} tokens that a step has fed. */
  void take(StepOutput.SequenceOutput output, int count) {
    float[][] rows =
        output instanceof StepOutput.Fed fed ? fed.logits() : ((StepOutput.Token) output).logits();
    System.arraycopy(rows, 0, logits, cache.length() - count, count);
  }

  void start(SequenceCache share) {
    cache = share;
  }

  SequenceCache cache() {
    return cache;
  }

  int promptLength() {
    return prompt;
  }

  int[] tokens() {
    return tokens;
  }

  boolean isDecoding() {
    return cache.length() >= prompt;
  }

  boolean isDone() {
    return cache.length() == tokens.length;
  }

  /** The coming tokens: of the prompt up to {@code end} at the most, afterwards one. */
  BackendSession.Feed feed(int end) {
    int length = cache.length();
    if (isDecoding()) {
      return new BackendSession.Feed(cache, LogitsRequest.ALL, Kind.DECODE, tokens[length]);
    }
    Kind kind = end < prompt ? Kind.PROMPT_PART : Kind.PROMPT_END;
    int[] part = Arrays.copyOfRange(tokens, length, Math.min(end, prompt));
    return new BackendSession.Feed(cache, LogitsRequest.ALL, kind, part);
  }
}
