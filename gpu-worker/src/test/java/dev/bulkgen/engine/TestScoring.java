package dev.bulkgen.engine;

import static dev.bulkgen.engine.EngineFixture.greedy;
import static dev.bulkgen.engine.EngineFixture.recall;
import static dev.bulkgen.engine.EngineFixture.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Fixtures;
import dev.bulkgen.Tolerances;
import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.TokenLogProbs;
import dev.bulkgen.text.Tokenizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the engine says of given completions, on the real CPU backend. */
@Timeout(120)
class TestScoring {
  private static final String STORIES = "models/stories260k";
  private static final String PROMPT = "Once upon a time, there was a little girl";
  private static final String COMPLETION = " named Lily. She loved to play outside.";

  private static EngineConfig stories(String kvCache, PromptOverflow overflow) {
    return EngineFixture.config(Fixtures.path(STORIES), kvCache, 4, overflow);
  }

  private static ScoreRequest row(String prompt, String... completions) {
    return new ScoreRequest(
        "k",
        new Prompt.Text(prompt),
        Arrays.stream(completions).<Prompt>map(Prompt.Text::new).toList());
  }

  private static Score one(Engine engine, ScoreRequest request) {
    List<Score> scores = engine.score(request).join();
    assertEquals(1, scores.size());
    return scores.get(0);
  }

  private static Prompt.Tokens tokens(int... ids) {
    return new Prompt.Tokens(ids);
  }

  /** Each token's log-probability after those before it: double log-softmax of all logits. */
  private static double[] reference(String model, int[] tokens) {
    ModelWeights weights = ModelFolder.open(Fixtures.path(model)).weights();
    CacheLayout layout = CacheLayout.of(CachePolicy.FP16, weights.config());
    try (BackendSession session =
        new BackendSession(CpuBackend::open, weights, layout, 1, tokens.length, 2, 0)) {
      float[][] logits =
          session
              .step(
                  session.newSequence(),
                  LogitsRequest.ALL,
                  Arrays.copyOf(tokens, tokens.length - 1))
              .logits();
      return IntStream.range(1, tokens.length)
          .mapToDouble(i -> logSoftmax(logits[i - 1], tokens[i]))
          .toArray();
    }
  }

  private static double logSoftmax(float[] row, int token) {
    double max = row[Tolerances.argmax(row)];
    double sum = IntStream.range(0, row.length).mapToDouble(i -> Math.exp(row[i] - max)).sum();
    return row[token] - max - Math.log(sum);
  }

  @ParameterizedTest
  @ValueSource(strings = {"fp16", "kivi2"})
  void testScoresAreExactWhateverTheCache(String kvCache) {
    Tokenizer tokenizer = Tokenizer.load(Fixtures.path(STORIES));
    int[] all = tokenizer.encodePrompt(PROMPT + COMPLETION);
    int context = tokenizer.encodePrompt(PROMPT).length;
    double[] expected = reference(STORIES, all);
    try (Engine engine = Engine.open(stories(kvCache, PromptOverflow.ERROR))) {
      Score score = one(engine, row(PROMPT, COMPLETION));
      assertArrayEquals(Arrays.copyOfRange(all, context, all.length), score.tokenIds());
      double sum = 0;
      for (int i = 0; i < score.logProbs().length; i++) {
        double logProb = expected[context - 1 + i];
        assertEquals(logProb, score.logProbs()[i], 1e-5 * -logProb, "token " + i);
        sum += logProb;
      }
      assertEquals(sum, score.logLikelihood(), 1e-5 * -sum);
      assertEquals(new Usage(context, all.length - context, 0), score.usage());
      assertEquals(all.length - 1, engine.metrics().promptTokens());
      assertEquals(0, engine.metrics().generatedTokens());

      Score whole = one(engine, row("", PROMPT + COMPLETION));
      assertEquals(Arrays.stream(expected).sum(), whole.logLikelihood(), 1e-4);
      assertArrayEquals(Arrays.copyOfRange(all, 1, all.length), whole.tokenIds());
      assertEquals(1, whole.usage().promptTokens());
    }
  }

  @Test
  void testWhiteSpaceAtThePromptsEndBelongsToTheCompletion() {
    try (Engine engine = Engine.open(stories("fp16", PromptOverflow.ERROR))) {
      Score inside = one(engine, row(PROMPT, COMPLETION));
      Score moved = one(engine, row(PROMPT + " ", COMPLETION.substring(1)));
      assertArrayEquals(inside.tokenIds(), moved.tokenIds());
      assertEquals(inside.logLikelihood(), moved.logLikelihood());
      List<Score> none = engine.score(row(PROMPT, "", COMPLETION)).join();
      assertEquals(0, none.get(0).logLikelihood());
      assertTrue(none.get(0).isGreedy());
      assertEquals(0, none.get(0).tokenIds().length);
      assertEquals(inside.logLikelihood(), none.get(1).logLikelihood());
      assertEquals(0, one(engine, row("", "")).logLikelihood());
    }
  }

  /** A right answer is likelier than a wrong one, and choices share their prompt. */
  @Test
  void testChoices() {
    String prompt = "rita 13 . sun alan 32 . milo 45 . ada 21 . bao 66 . xena 27 . hugo 72 . alan";
    EngineConfig config = EngineFixture.withMaxModelLen(recall("fp16", 8), 256);
    try (Engine engine = Engine.open(config)) {
      List<Score> scores = engine.score(row(prompt, " 13", " 32", " 45", " 66")).join();
      for (int i = 0; i < scores.size(); i++) {
        assertEquals(i == 1, scores.get(i).isGreedy(), "choice " + i);
        assertTrue(scores.get(1).logLikelihood() >= scores.get(i).logLikelihood());
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"fp16", "kivi2"})
  void testCompletionsOfAPromptPrefillItOnce(String kvCache) {
    String prompt = "the old sun rises . ".repeat(20);
    try (Engine engine = Engine.open(stories(kvCache, PromptOverflow.ERROR))) {
      List<Score> apart = new ArrayList<>();
      String[] completions = {"one", "two three", "four"};
      for (String completion : completions) {
        apart.add(one(engine, row(prompt, completion)));
      }
      long before = engine.metrics().promptTokens();
      List<Score> together = engine.score(row(prompt, completions)).join();
      for (int i = 0; i < completions.length; i++) {
        assertEquals(apart.get(i).logLikelihood(), together.get(i).logLikelihood());
      }
      long fed = engine.metrics().promptTokens() - before;
      int context = together.get(0).usage().promptTokens();
      assertTrue(fed < 2L * context, fed + " tokens fed, a prompt has " + context);
      CommonPrefixes prefixes = new CommonPrefixes();
      ScoreRequest counted =
          new ScoreRequest(
              "k",
              new Prompt.Text(prompt),
              List.of(new Prompt.Text("one"), new Prompt.Text("two")),
              Optional.of(prefixes));
      List<Score> stable = engine.score(counted).join();
      assertEquals(0, stable.get(0).usage().cachedTokens());
      int block = engine.memoryPlan().layout().promptAlignment();
      assertEquals((context - 1) / block * block, stable.get(1).usage().cachedTokens());
    }
  }

  @Test
  void testGreedyTextsAreGreedy() {
    try (Engine engine = Engine.open(stories("fp16", PromptOverflow.ERROR))) {
      Completion greedy =
          engine.generateAll(List.of(request("k", PROMPT, greedy(24)))).get(0).get(0);
      Prompt prompt = new Prompt.Text(PROMPT);
      int[] ids = greedy.tokenIds();
      int[] other = ids.clone();
      other[17] = other[17] == 5 ? 6 : 5;
      List<Score> scores =
          engine.score(new ScoreRequest("k", prompt, List.of(tokens(ids), tokens(other)))).join();
      assertTrue(scores.get(0).isGreedy());
      assertFalse(scores.get(1).isGreedy());
      assertTrue(scores.get(1).logLikelihood() < scores.get(0).logLikelihood());
    }
  }

  @Test
  void testGeneratedTokensTellTheirLogProbabilities() {
    try (Engine engine = Engine.open(stories("fp16", PromptOverflow.ERROR))) {
      Completion told =
          engine.generateAll(List.of(request("k", PROMPT, greedy(12).logprobs(2)))).get(0).get(0);
      Completion plain =
          engine.generateAll(List.of(request("k", PROMPT, greedy(12)))).get(0).get(0);
      assertArrayEquals(plain.tokenIds(), told.tokenIds());
      assertEquals(List.of(), plain.logProbs());
      assertEquals(12, told.logProbs().size());
      ScoreRequest same =
          new ScoreRequest("k", new Prompt.Text(PROMPT), List.of(tokens(told.tokenIds())));
      Score score = one(engine, same);
      for (int i = 0; i < 12; i++) {
        TokenLogProbs token = told.logProbs().get(i);
        assertEquals(told.tokenIds()[i], token.topTokens()[0], "the likeliest is drawn");
        assertEquals(token.logProb(), token.topLogProbs()[0]);
        assertTrue(token.topLogProbs()[1] <= token.topLogProbs()[0]);
        assertEquals(score.logProbs()[i], token.logProb(), 1e-3, "prefill sums in another order");
      }
    }
  }

  /** Windows as lm-evaluation-harness makes them with one token of context. */
  @Test
  void testLongTextsInWindows() {
    int longest = 64;
    Tokenizer tokenizer = Tokenizer.load(Fixtures.path(STORIES));
    String story = (PROMPT + COMPLETION + " ").repeat(9);
    int[] all = tokenizer.encodePrompt(story);
    EngineConfig config =
        EngineFixture.withMaxModelLen(stories("kivi2", PromptOverflow.ERROR), longest);
    try (Engine engine = Engine.open(config)) {
      Score score = one(engine, row("", story));
      assertEquals(all.length - 1, score.tokenIds().length);
      float[] expected = new float[all.length - 1];
      for (int done = 0; done < expected.length; ) {
        int count = Math.min(longest, expected.length - done);
        int end = done + count + 1;
        int begin = done == 0 ? 0 : end - longest - 1;
        double[] window = reference(STORIES, Arrays.copyOfRange(all, begin, end));
        for (int i = 0; i < count; i++) {
          expected[done + i] = (float) window[window.length - count + i];
        }
        done += count;
      }
      assertTrue(expected.length > 2 * longest && expected.length % longest != 0, "three windows");
      assertArrayEquals(expected, score.logProbs(), 1e-4f);
      Score ids = one(engine, new ScoreRequest("k", tokens(), List.of(tokens(all))));
      assertEquals(score.logLikelihood(), ids.logLikelihood());
      int[] bare = Arrays.copyOfRange(all, 1, all.length);
      Score added = one(engine, new ScoreRequest("k", tokens(), List.of(tokens(bare))));
      assertEquals(score.logLikelihood(), added.logLikelihood(), "the first token is put before");
    }
  }

  @Test
  void testLongPromptsAreCutAtTheirLeftOrRefused() {
    int longest = 48;
    int[] prompt = IntStream.range(0, 60).map(i -> i == 0 ? 1 : 100 + i).toArray();
    int[] completion = {200, 201, 202, 203};
    ScoreRequest request = new ScoreRequest("k", tokens(prompt), List.of(tokens(completion)));
    for (PromptOverflow overflow : PromptOverflow.values()) {
      EngineConfig config = EngineFixture.withMaxModelLen(stories("fp16", overflow), longest);
      try (Engine engine = Engine.open(config)) {
        int[] endless = IntStream.range(3, 3 + longest + 1).toArray();
        assertError(
            engine.score(new ScoreRequest("k", tokens(1), List.of(tokens(endless)))),
            ErrorCode.PROMPT_TOO_LONG);
        int[] fits = Arrays.copyOf(endless, longest);
        Score full = one(engine, new ScoreRequest("k", tokens(1), List.of(tokens(fits))));
        assertEquals(longest, full.logProbs().length, "the last token takes no place");
        if (overflow == PromptOverflow.ERROR) {
          assertError(engine.score(request), ErrorCode.PROMPT_TOO_LONG);
          continue;
        }
        int kept = longest + 1 - completion.length;
        int[] end = Arrays.copyOfRange(prompt, prompt.length - kept, prompt.length);
        end[0] = 1;
        Score cut = one(engine, request);
        Score same = one(engine, new ScoreRequest("k", tokens(end), List.of(tokens(completion))));
        assertEquals(same.logLikelihood(), cut.logLikelihood());
        assertEquals(kept, cut.usage().promptTokens());
      }
    }
  }

  @Test
  void testErrorsOfRows() {
    try (Engine engine = Engine.open(stories("fp16", PromptOverflow.ERROR))) {
      Prompt text = new Prompt.Text("a");
      assertError(
          engine.score(new ScoreRequest("k", text, List.of(tokens(5, 512)))),
          ErrorCode.PROMPT_INVALID);
      assertError(
          engine.score(new ScoreRequest("k", tokens(5), List.of(text))), ErrorCode.PROMPT_INVALID);
      assertError(
          engine.score(new ScoreRequest("k", text, List.of(new Prompt.Text(null)))),
          ErrorCode.PROMPT_INVALID);
      assertError(
          engine.score(new ScoreRequest("k", new Prompt.Text(null), List.of(text))),
          ErrorCode.PROMPT_EMPTY);
      BulkgenException template =
          assertThrows(
              BulkgenException.class,
              () ->
                  engine.score(
                      new ScoreRequest(
                          "k",
                          new Prompt.Messages(List.of(new Prompt.Message("user", "hi"))),
                          List.of(text))));
      assertEquals(ErrorCode.CHAT_TEMPLATE_INVALID, template.code());
    }
    assertRefused(ErrorCode.PROMPT_EMPTY, () -> row("a"));
    assertRefused(ErrorCode.PROMPT_EMPTY, () -> new ScoreRequest("k", null, List.of(tokens(1))));
    assertRefused(
        ErrorCode.PROMPT_INVALID, () -> new ScoreRequest(null, tokens(1), List.of(tokens(1))));
    assertRefused(
        ErrorCode.PROMPT_INVALID,
        () -> new ScoreRequest("k", tokens(1), List.of(new Prompt.Messages(List.of()))));
  }

  private static void assertRefused(ErrorCode code, Runnable call) {
    assertEquals(code, assertThrows(BulkgenException.class, call::run).code());
  }

  private static void assertError(CompletableFuture<?> future, ErrorCode code) {
    CompletionException error = assertThrows(CompletionException.class, future::join);
    assertEquals(code, assertInstanceOf(BulkgenException.class, error.getCause()).code());
  }

  @Test
  void testCancelledScoresGiveTheirPagesBack() {
    EngineConfig config =
        EngineFixture.withMaxModelLen(stories("kivi2", PromptOverflow.ERROR), 512);
    String text = (PROMPT + COMPLETION + " ").repeat(30);
    try (Engine engine = Engine.open(config)) {
      Score expected = one(engine, row("", text));
      for (int i = 0; i < 6; i++) {
        CompletableFuture<List<Score>> cancelled = engine.score(row("", text));
        engine.score(row(PROMPT, COMPLETION)).cancel(false);
        cancelled.cancel(false);
        assertEquals(expected.logLikelihood(), one(engine, row("", text)).logLikelihood());
      }
      engine.generateAll(List.of(request("k", "a", greedy(2)))); // a step after the last drop
      assertEquals(0, engine.metrics().load().waiting());
    }
  }
}
