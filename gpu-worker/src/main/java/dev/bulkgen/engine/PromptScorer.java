package dev.bulkgen.engine;

import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.text.Tokenizer;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.function.LongSupplier;
import java.util.stream.IntStream;

/** Makes jobs of requests to score: texts that are longer than the model are cut into windows. */
final class PromptScorer {
  private final MemoryPlan plan;
  private final PromptEncoder encoder;
  private final CompletionEncoder completions;
  private final LongSupplier sequenceIds;

  /**
   * @param sequenceIds unique ids for sequences
   */
  PromptScorer(
      MemoryPlan plan, PromptEncoder encoder, Set<Integer> endTokens, LongSupplier sequenceIds) {
    this.plan = plan;
    this.encoder = encoder;
    this.sequenceIds = sequenceIds;
    completions = new CompletionEncoder(encoder, prefixToken(encoder, endTokens));
  }

  private static OptionalInt prefixToken(PromptEncoder encoder, Set<Integer> endTokens) {
    Optional<Tokenizer> tokenizer = encoder.tokenizer();
    IntStream begins = tokenizer.stream().flatMapToInt(t -> t.bosId().stream());
    IntStream ends = tokenizer.stream().flatMapToInt(t -> t.specialId("eos_token").stream());
    IntStream others = endTokens.stream().mapToInt(Integer::intValue).sorted();
    return IntStream.concat(begins, IntStream.concat(ends, others))
        .filter(token -> token < encoder.vocabSize())
        .findFirst();
  }

  /**
   * @throws BulkgenException as {@link PromptEncoder#encode}
   */
  Job<Score> job(ScoreRequest request) {
    boolean isWhole = CompletionEncoder.isWhole(request.prompt());
    List<ScoredTokens> texts = completions.encode(request);
    Job<Score> job = new Job<>(texts.size());
    for (int i = 0; i < texts.size(); i++) {
      add(job, request, i, isWhole ? texts.get(i) : fitted(texts.get(i)));
    }
    return job;
  }

  private void add(Job<Score> job, ScoreRequest request, int index, ScoredTokens text) {
    OptionalInt commonTokens = CommonPrefixes.count(request.prefixes(), text.context(), plan);
    ScoreBuilder score = new ScoreBuilder(job, index, text, commonTokens);
    int scored = 0;
    while (scored < text.count()) {
      ScoredTokens window = window(text, scored);
      job.sequences().add(new ScoreWindow(score, sequenceIds.getAsLong(), window, scored));
      scored += window.count();
    }
    if (scored == 0) {
      score.completeIfWhole(0);
    }
  }

  /** The window that scores the next tokens after {@code done} of them. */
  private ScoredTokens window(ScoredTokens text, int done) {
    int first = text.first() + done;
    if (done == 0) {
      int end = Math.min(text.tokens().length, longest());
      return new ScoredTokens(Arrays.copyOf(text.tokens(), end), first);
    }
    int end = Math.min(text.tokens().length, first + longest() - 1);
    int begin = end - longest();
    return new ScoredTokens(Arrays.copyOfRange(text.tokens(), begin, end), first - begin);
  }

  /** Tokens of a window, of which the last is not fed. */
  private int longest() {
    return plan.demand().maxModelLen() + 1;
  }

  /**
   * A completion whose prompt is cut at its left where both are too long and the setting says so.
   */
  private ScoredTokens fitted(ScoredTokens text) {
    int length = text.tokens().length;
    if (length <= longest() || text.count() == 0) {
      return text;
    }
    if (text.count() >= longest()) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_TOO_LONG,
          "a completion has %d tokens, max-model-len is %d, and a completion is never cut; shorten"
              + " it",
          text.count(),
          longest() - 1);
    }
    int[] kept = encoder.keepEnd(text.tokens(), longest(), "prompt and completion have");
    return new ScoredTokens(kept, text.first() - (length - kept.length));
  }
}
