package dev.bulkgen.engine;

import dev.bulkgen.Fixtures;
import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.CachePolicy;
import dev.bulkgen.cache.MemoryDemand;
import dev.bulkgen.cache.MemoryDemand.WeightPlacement;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.model.ModelFolder;
import dev.bulkgen.model.ModelWeights;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import dev.bulkgen.sampling.TokenLogProbs;
import dev.bulkgen.schedule.SchedulerLimits;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;

/** Engines of every shape over the same rows of the recall model. */
final class EngineGrid {
  static final int LONGEST = 256;

  private static final int VOCABULARY = 288;
  private static final ModelWeights WEIGHTS =
      ModelFolder.open(Fixtures.path("models/recall")).weights();

  private final CacheLayout layout;
  private final Opener opener;

  /** Opens the backend of a test. */
  @FunctionalInterface
  interface Opener {
    Backend open(ModelWeights weights, CacheLayout layout, CacheCapacity capacity);
  }

  /**
   * A point of the grid.
   *
   * @param spare pages a layer beside those of one longest sequence; few force sequences out
   * @param prefillTokens of a step; fewer than a prompt's cut it
   */
  record Point(int maxBatch, int spare, PrefixSharing sharing, int prefillTokens) {}

  EngineGrid(CachePolicy policy, Opener opener) {
    layout = CacheLayout.of(policy, WEIGHTS.config());
    this.opener = opener;
  }

  /** An engine that admits boldly, so that few pages mean constant swapping. */
  Engine open(Point point) {
    return open(point, 1);
  }

  /**
   * @param expectedTokens of an output before any is known
   */
  Engine open(Point point, int expectedTokens) {
    int layers = layout.layers();
    MemoryDemand demand =
        new MemoryDemand(
            1L << 30,
            0,
            WeightPlacement.MAPPED,
            0,
            0,
            0,
            point.maxBatch,
            LONGEST,
            point.prefillTokens,
            1L << 30,
            point.sharing);
    int longest = layers * layout.pagesPerLayer(LONGEST);
    int staging = layout.isExact() ? 0 : 2 * layers * layout.staging().pagesPerLayer(LONGEST);
    MemoryPlan plan =
        new MemoryPlan(
            layout,
            demand,
            point.maxBatch,
            longest + point.spare * layers,
            staging,
            point.maxBatch * longest,
            point.maxBatch);
    CacheCapacity capacity =
        new CacheCapacity(
            plan.pages(),
            plan.slots(),
            point.prefillTokens,
            LONGEST,
            staging,
            plan.swapPages(),
            plan.swapSlots());
    PromptEncoder encoder =
        PromptEncoder.open(
            Fixtures.path("models/recall"),
            VOCABULARY,
            LONGEST,
            PromptOverflow.ERROR,
            LocalDateTime.of(2026, 1, 1, 0, 0));
    SchedulerLimits limits =
        new SchedulerLimits(
            point.maxBatch,
            point.prefillTokens,
            point.maxBatch,
            1,
            expectedTokens,
            point.sharing == PrefixSharing.AUTO);
    return new Engine(plan, encoder, Set.of(2), opener.open(WEIGHTS, layout, capacity), limits);
  }

  /**
   * Rows whose prompts begin alike in threes, of lengths from 3 to 200.
   *
   * @param n samples of each
   */
  static List<GenerateRequest> rows(int count, int n, int maxTokens) {
    SamplingParamsBuilder params =
        new SamplingParamsBuilder()
            .temperature(1)
            .topP(0.95)
            .seed(5)
            .n(n)
            .maxTokens(maxTokens)
            .logprobs(2)
            .ignoreEos(true);
    List<GenerateRequest> rows = new ArrayList<>();
    Random random = new Random(11);
    int[][] beginnings = {tokens(random, 70), tokens(random, 130), {}};
    for (int i = 0; i < count; i++) {
      int[] beginning = beginnings[i % 3];
      int[] own = tokens(random, 3 + random.nextInt(i % 4 == 0 ? 100 : 20));
      int[] prompt = IntStream.concat(Arrays.stream(beginning), Arrays.stream(own)).toArray();
      rows.add(new GenerateRequest("row-" + i, new Prompt.Tokens(prompt), params.build()));
    }
    return rows;
  }

  /**
   * Rows to score: prompts that begin alike in threes, with completions of 1 to 40 tokens, and
   * whole texts longer than the model.
   */
  static List<ScoreRequest> scoreRows(int count) {
    List<ScoreRequest> rows = new ArrayList<>();
    Random random = new Random(12);
    int[][] beginnings = {tokens(random, 70), tokens(random, 130), {}};
    for (int i = 0; i < count; i++) {
      int[] own = tokens(random, 1 + random.nextInt(30));
      int[] prompt =
          IntStream.concat(Arrays.stream(beginnings[i % 3]), Arrays.stream(own)).toArray();
      boolean isWhole = i % 4 == 2;
      List<Prompt> completions = new ArrayList<>();
      for (int c = isWhole ? 1 : 2; c > 0; c--) {
        int length = isWhole ? LONGEST + 20 : 1 + random.nextInt(40);
        completions.add(new Prompt.Tokens(tokens(random, length)));
      }
      Prompt before = new Prompt.Tokens(isWhole ? new int[0] : prompt);
      rows.add(new ScoreRequest("score-" + i, before, completions));
    }
    return rows;
  }

  /** All of a row's scores that must never differ. */
  static String scoreBytes(List<Score> scores) {
    StringBuilder text = new StringBuilder();
    for (Score score : scores) {
      text.append(score.logLikelihood())
          .append(Arrays.toString(score.logProbs()))
          .append(Arrays.toString(score.tokenIds()))
          .append(score.isGreedy())
          .append(score.usage().promptTokens());
    }
    return text.toString();
  }

  /** Needs every page of an engine but the spare ones. */
  static GenerateRequest longest() {
    int[] prompt = tokens(new Random(3), LONGEST - 2);
    return new GenerateRequest(
        "longest", new Prompt.Tokens(prompt), EngineFixture.greedy(2).ignoreEos(true).build());
  }

  private static int[] tokens(Random random, int count) {
    return random.ints(count, 3, VOCABULARY).toArray();
  }

  /** All of a row that must never differ. */
  static String bytes(List<Completion> completions) {
    StringBuilder text = new StringBuilder();
    for (Completion completion : completions) {
      text.append(completion.text())
          .append(Arrays.toString(completion.tokenIds()))
          .append(completion.finishReason())
          .append(completion.usage().promptTokens());
      for (TokenLogProbs token : completion.logProbs()) {
        text.append(token.logProb())
            .append(Arrays.toString(token.topTokens()))
            .append(Arrays.toString(token.topLogProbs()));
      }
    }
    return text.toString();
  }
}
