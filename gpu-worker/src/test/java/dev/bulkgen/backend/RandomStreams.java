package dev.bulkgen.backend;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.model.ModelWeights;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.params.provider.Arguments;

/**
 * Sequences that come, are cut, share a beginning, are swapped out and in, and go, all at random:
 * each gives the bits that it gives alone.
 */
final class RandomStreams {
  private static final int SLOTS = 3;
  private static final int STEP_TOKENS = 160;
  private static final int SEQUENCES = 6;

  private final BackendSession.Opener opener;
  private final SplittableRandom random;
  private final long seed;
  private BackendSession session;
  private int[] beginning;
  private BackendSession.Prefix kept;
  private FedSequence creator;
  private final List<FedSequence> running = new ArrayList<>();
  private final List<FedSequence> swapped = new ArrayList<>();
  private final List<FedSequence> done = new ArrayList<>();

  RandomStreams(BackendSession.Opener opener, long seed) {
    this.opener = opener;
    this.seed = seed;
    random = new SplittableRandom(seed);
  }

  /**
   * @param cases a model's form and a policy each
   */
  void run(List<Arguments> cases, int streams) {
    for (int i = 0; i < streams; i++) {
      Object[] chosen = cases.get(random.nextInt(cases.size())).get();
      ModelWeights weights = RandomModels.make((RandomModels.Form) chosen[0], random.nextLong());
      stream(weights, CacheLayout.of((CachePolicy) chosen[1], weights.config()));
    }
  }

  private void stream(ModelWeights weights, CacheLayout layout) {
    beginning = random.ints(32L * random.nextInt(1, 6), 0, 66).toArray();
    List<FedSequence> waiting = new ArrayList<>();
    int longest = 0;
    for (int i = 0; i < SEQUENCES; i++) {
      int own = random.nextInt(1, 100);
      int shared = random.nextInt(4) == 0 ? 0 : beginning.length;
      int prompt = shared + own;
      int[] tokens = random.ints(prompt + random.nextInt(1, 40), 0, 66).toArray();
      System.arraycopy(beginning, 0, tokens, 0, shared);
      waiting.add(new FedSequence(tokens, prompt));
      longest = Math.max(longest, tokens.length);
    }
    List<FedSequence> all = List.copyOf(waiting);
    CacheCapacity room = BackendSession.room(layout, SLOTS, longest, STEP_TOKENS);
    int threads = 1 + random.nextInt(3);
    session = new BackendSession(opener, weights, layout, room, threads, 1 + random.nextInt(99));
    try (BackendSession closing = session) {
      while (done.size() < SEQUENCES) {
        admit(waiting);
        swap();
        step();
      }
      if (kept != null) {
        session.release(kept);
        kept = null;
      }
      assertTrue(session.isIdle(), () -> "pages are missing, seed " + seed);
    }
    done.clear();
    for (FedSequence sequence : all) {
      compare(sequence, weights, layout);
    }
  }

  private void admit(List<FedSequence> waiting) {
    while (!waiting.isEmpty() && running.size() < SLOTS && random.nextInt(3) > 0) {
      FedSequence sequence = waiting.remove(0);
      boolean begins =
          Arrays.equals(beginning, Arrays.copyOf(sequence.tokens(), beginning.length))
              && sequence.promptLength() > beginning.length;
      if (begins && kept != null && random.nextInt(5) > 0) {
        sequence.start(session.begin(kept, sequence.promptLength()));
      } else {
        sequence.start(session.newSequence());
        if (begins && kept == null && creator == null) {
          creator = sequence;
          session.stage(sequence.cache(), beginning.length);
        }
      }
      running.add(sequence);
    }
  }

  private void swap() {
    for (FedSequence sequence : List.copyOf(running)) {
      if (sequence.isDecoding() && swapped.size() < SLOTS && random.nextInt(8) == 0) {
        sequence.start(session.swapOut(sequence.cache()));
        running.remove(sequence);
        swapped.add(sequence);
      }
    }
    while (!swapped.isEmpty() && running.size() < SLOTS && random.nextInt(3) > 0) {
      FedSequence sequence = swapped.remove(random.nextInt(swapped.size()));
      sequence.start(session.swapIn(sequence.cache()));
      running.add(sequence);
    }
  }

  private void step() {
    List<FedSequence> fed = new ArrayList<>();
    List<BackendSession.Feed> feeds = new ArrayList<>();
    int left = STEP_TOKENS;
    for (FedSequence sequence : running) {
      int length = sequence.cache().length();
      int most = left / 32 * 32;
      boolean fits = sequence.isDecoding() || most > 0;
      if (fits && random.nextInt(4) > 0) {
        int end = sequence.isDecoding() ? 0 : length + 32 * random.nextInt(1, most / 32 + 1);
        BackendSession.Feed feed = sequence.feed(end);
        left -= sequence.isDecoding() ? 0 : feed.tokens().length;
        fed.add(sequence);
        feeds.add(feed);
      }
    }
    List<StepOutput.SequenceOutput> outputs = session.step(feeds);
    for (int i = 0; i < fed.size(); i++) {
      fed.get(i).take(outputs.get(i), feeds.get(i).tokens().length);
    }
    fed.forEach(this::advance);
  }

  private void advance(FedSequence sequence) {
    if (sequence.cache().length() == sequence.promptLength()) {
      if (sequence == creator) {
        kept = session.keep(sequence.cache(), beginning.length, sequence.promptLength());
        creator = null;
      }
      session.releaseStaging(sequence.cache());
    }
    if (sequence.isDone()) {
      session.release(sequence.cache());
      running.remove(sequence);
      done.add(sequence);
    }
  }

  private void compare(FedSequence sequence, ModelWeights weights, CacheLayout layout) {
    int[] tokens = sequence.tokens();
    float[][] alone = FedSequence.alone(opener, weights, layout, tokens, sequence.promptLength());
    int first = 0;
    while (sequence.logits[first] == null) {
      first++;
    }
    AbstractTestBackend.assertSameBits(
        Arrays.copyOfRange(alone, first, alone.length),
        Arrays.copyOfRange(sequence.logits, first, alone.length),
        layout.policy().name() + ", seed " + seed);
  }
}
