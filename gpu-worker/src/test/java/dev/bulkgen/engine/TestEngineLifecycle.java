package dev.bulkgen.engine;

import static dev.bulkgen.engine.EngineFixture.greedy;
import static dev.bulkgen.engine.EngineFixture.recall;
import static dev.bulkgen.engine.EngineFixture.request;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Fixtures;
import dev.bulkgen.cache.MemoryPlan;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.config.DtypeChoice;
import dev.bulkgen.config.EngineConfig;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.config.SchedulingConfig;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Submitting, cancelling, closing and failing. */
@Timeout(60)
class TestEngineLifecycle {
  private static final SamplingParamsBuilder LONG =
      new SamplingParamsBuilder().temperature(1).maxTokens(1900).ignoreEos(true);

  @Test
  void testCancelFreesTheSequences() {
    try (Engine engine = Engine.open(recall("kivi2", 1))) {
      var endless = engine.submit(request("a", "the old sun", LONG));
      var waiting = engine.submit(request("b", "the old sun", LONG));
      var last = engine.submit(request("c", "the old sun", greedy(3)));
      waiting.cancel(false);
      endless.cancel(false);
      assertEquals(3, last.join().get(0).usage().completionTokens());
      assertTrue(engine.metrics().generatedTokens() < 1900);
    }
  }

  @Test
  void testCloseFailsWhatIsPending() {
    Engine engine = Engine.open(recall("fp16", 2));
    List<CompletableFuture<List<Completion>>> futures = new ArrayList<>();
    for (int i = 0; i < 5; i++) {
      futures.add(engine.submit(request("k" + i, "the old sun", LONG)));
    }
    engine.close();
    engine.close();
    futures.forEach(future -> assertEquals(ErrorCode.QUEUE_CLOSED, error(future).code()));
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> engine.submit(request("x", "the", greedy(1))));
    assertEquals(ErrorCode.QUEUE_CLOSED, error.code());
  }

  @Test
  void testAFullQueueHoldsTheSubmitterBack() throws Exception {
    try (Engine engine = Engine.open(recall("fp16", 1))) {
      AtomicInteger accepted = new AtomicInteger();
      CountDownLatch ended = new CountDownLatch(1);
      Thread submitter =
          new Thread(
              () -> {
                try {
                  for (int i = 0; i < 20; i++) {
                    engine.submit(request("k" + i, "the old sun", LONG));
                    accepted.incrementAndGet();
                  }
                } catch (BulkgenException e) {
                  ended.countDown();
                }
              });
      submitter.start();
      while (submitter.getState() != Thread.State.WAITING) {
        Thread.sleep(1);
      }
      assertTrue(accepted.get() < 20);
      engine.close();
      assertTrue(ended.await(20, TimeUnit.SECONDS), "closing releases the submitter");
    }
  }

  @Test
  void testAnInterruptReleasesTheSubmitter() throws Exception {
    try (Engine engine = Engine.open(recall("fp16", 1))) {
      CountDownLatch interrupted = new CountDownLatch(1);
      Thread submitter =
          new Thread(
              () -> {
                try {
                  for (int i = 0; i < 20; i++) {
                    engine.submit(request("k" + i, "the old sun", LONG));
                  }
                } catch (BulkgenException e) {
                  if (Thread.currentThread().isInterrupted()) {
                    interrupted.countDown();
                  }
                }
              });
      submitter.start();
      while (submitter.getState() != Thread.State.WAITING) {
        Thread.sleep(1);
      }
      submitter.interrupt();
      assertTrue(interrupted.await(20, TimeUnit.SECONDS));
    }
  }

  @Test
  void testBadRowsFailAloneAndSayWhy() {
    EngineConfig config = EngineFixture.withMaxModelLen(recall("fp16", 4), 16);
    try (Engine engine = Engine.open(config)) {
      SamplingParams params = greedy(2).build();
      int[] seventeen = IntStream.generate(() -> 5).limit(17).toArray();
      assertRowError(engine, new Prompt.Text(""), ErrorCode.PROMPT_EMPTY);
      assertRowError(engine, new Prompt.Text(null), ErrorCode.PROMPT_EMPTY);
      assertRowError(engine, new Prompt.Tokens(new int[0]), ErrorCode.PROMPT_EMPTY);
      assertRowError(engine, new Prompt.Messages(List.of()), ErrorCode.PROMPT_EMPTY);
      assertRowError(engine, new Prompt.Messages(null), ErrorCode.PROMPT_EMPTY);
      Prompt hole = new Prompt.Messages(Collections.singletonList(null));
      assertRowError(engine, hole, ErrorCode.PROMPT_INVALID);
      assertRowError(engine, new Prompt.Tokens(new int[] {3, -1}), ErrorCode.PROMPT_INVALID);
      assertRowError(engine, new Prompt.Tokens(new int[] {288}), ErrorCode.PROMPT_INVALID);
      assertRowError(engine, new Prompt.Tokens(seventeen), ErrorCode.PROMPT_TOO_LONG);
      int[] sixteen = IntStream.range(5, 21).toArray();
      assertRowError(engine, new Prompt.Tokens(sixteen), ErrorCode.PROMPT_TOO_LONG);
      String book = "the old sun ".repeat(100_000);
      assertRowError(engine, new Prompt.Text(book), ErrorCode.PROMPT_TOO_LONG);
      int[] fifteen = IntStream.range(5, 20).toArray();
      Completion tight =
          engine
              .generateAll(List.of(new GenerateRequest("k", new Prompt.Tokens(fifteen), params)))
              .get(0)
              .get(0);
      assertEquals(1, tight.tokenIds().length);
      assertEquals(FinishReason.LENGTH, tight.finishReason());
    }
  }

  @ParameterizedTest
  @CsvSource({"KEEP_END, 2, 14", "KEEP_START, 2, 14", "KEEP_END, 100, 8", "KEEP_START, 1, 15"})
  void testLongPromptsAreCut(PromptOverflow overflow, int maxTokens, int kept) {
    Path model = Fixtures.path("models/recall");
    EngineConfig config = EngineFixture.config(model, "fp16", 4, overflow);
    try (Engine engine = Engine.open(EngineFixture.withMaxModelLen(config, 16))) {
      String text = "the old sun rain fell ".repeat(10).strip();
      SamplingParamsBuilder params = greedy(maxTokens).ignoreEos(true);
      Completion cut = engine.generateAll(List.of(request("k", text, params))).get(0).get(0);
      assertEquals(kept, cut.usage().promptTokens());
      assertEquals(16 - kept, cut.usage().completionTokens());
    }
    PromptEncoder encoder =
        PromptEncoder.open(model, 288, 16, overflow, LocalDateTime.of(2025, 1, 1, 0, 0));
    int[] ids = encoder.encode(new Prompt.Text("the ".repeat(30) + "sun"), greedy(2).build());
    assertEquals(1, ids[0], "the beginning of the sequence stays");
    int[] sun = encoder.tokenizer().orElseThrow().encode("sun");
    assertEquals(overflow == PromptOverflow.KEEP_END, ids[ids.length - 1] == sun[0]);
  }

  @Test
  void testTheLongestPromptFits() {
    int[] longest = IntStream.generate(() -> 5).limit(2047).toArray();
    try (Engine engine = Engine.open(recall("kivi2", 3))) {
      SamplingParams params = greedy(7).ignoreEos(true).build();
      List<GenerateRequest> requests = new ArrayList<>();
      requests.add(new GenerateRequest("long", new Prompt.Tokens(longest), params));
      requests.add(request("short", "the old sun", params));
      requests.add(new GenerateRequest("again", new Prompt.Tokens(longest), params));
      List<List<Completion>> completions = engine.generateAll(requests);
      assertEquals(1, completions.get(0).get(0).usage().completionTokens());
      assertEquals(7, completions.get(1).get(0).usage().completionTokens());
      assertEquals(completions.get(0).get(0).text(), completions.get(2).get(0).text());
      EngineMetrics metrics = engine.metrics();
      MemoryPlan plan = engine.memoryPlan();
      assertTrue(metrics.peakPages() <= plan.pages());
      long pages = metrics.peakPages() * plan.layout().pageBytes();
      assertTrue(metrics.peakCacheBytes() >= pages + plan.layout().windowBytes());
      long staging = (long) plan.stagingPages() * plan.layout().staging().pageBytes();
      long windows = 3 * plan.layout().windowBytes();
      assertTrue(metrics.peakCacheBytes() <= pages + windows + staging);
    }
  }

  @Test
  void testAllMistakesOfTheParamsAtOnce() {
    SamplingParams bad =
        new SamplingParams(
            OptionalInt.of(0),
            0,
            -1,
            1,
            0,
            0,
            1,
            0,
            0,
            0,
            List.of(),
            Set.of(),
            false,
            1,
            OptionalInt.empty());
    try (Engine engine = Engine.open(recall("fp16", 1))) {
      BulkgenException error =
          assertThrows(BulkgenException.class, () -> engine.submit(request("k", "the", bad)));
      assertEquals(ErrorCode.SETTING_INVALID, error.code());
      assertTrue(error.getMessage().contains("max-tokens"), error.getMessage());
      assertTrue(error.getMessage().contains("temperature"), error.getMessage());
    }
  }

  @Test
  void testHoldingEveryTokenBackIsAMistake() {
    Set<Integer> all = IntStream.range(0, 288).boxed().collect(Collectors.toSet());
    try (Engine engine = Engine.open(recall("fp16", 1))) {
      BulkgenException error =
          assertThrows(
              BulkgenException.class,
              () -> engine.submit(request("k", "the", greedy(3).minTokens(2).stopTokenIds(all))));
      assertEquals(ErrorCode.SETTING_INVALID, error.code());
      assertTrue(error.getMessage().contains("min-tokens: every one of"), error.getMessage());
      all.remove(7);
      Completion seven =
          engine
              .generateAll(List.of(request("k", "the", greedy(3).minTokens(2).stopTokenIds(all))))
              .get(0)
              .get(0);
      assertEquals(List.of(7, 7), Arrays.stream(seven.tokenIds()).limit(2).boxed().toList());
    }
  }

  @Test
  void testARequestWithoutItsPartsSaysWhich() {
    SamplingParams params = greedy(1).build();
    Prompt prompt = new Prompt.Text("the");
    assertMissing(ErrorCode.PROMPT_INVALID, "no key", null, prompt, params);
    assertMissing(ErrorCode.PROMPT_EMPTY, "'k' has no prompt", "k", null, params);
    assertMissing(ErrorCode.SETTING_INVALID, "'k' has no sampling", "k", prompt, null);
  }

  private static void assertMissing(
      ErrorCode code, String words, String key, Prompt prompt, SamplingParams params) {
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> new GenerateRequest(key, prompt, params));
    assertEquals(code, error.code());
    assertTrue(error.getMessage().contains(words), error.getMessage());
  }

  @Test
  void testAModelWithoutTokenizerTakesTokenIds(@TempDir Path folder) throws IOException {
    for (String name : List.of("config.json", "generation_config.json", "model.safetensors")) {
      Files.copy(Fixtures.path("models/recall").resolve(name), folder.resolve(name));
    }
    EngineConfig config = EngineFixture.config(folder, "auto", 2, PromptOverflow.ERROR);
    try (Engine engine = Engine.open(config)) {
      Prompt prompt = new Prompt.Tokens(new int[] {1, 7, 9});
      Completion completion =
          engine
              .generateAll(List.of(new GenerateRequest("k", prompt, greedy(4).build())))
              .get(0)
              .get(0);
      assertEquals("", completion.text());
      assertTrue(completion.tokenIds().length > 0);
      assertUserError(
          ErrorCode.TOKENIZER_INVALID, () -> engine.submit(request("k", "the", greedy(1))));
      SamplingParams stops = greedy(1).stop(List.of("x")).build();
      assertUserError(
          ErrorCode.SETTING_INVALID, () -> engine.submit(new GenerateRequest("k", prompt, stops)));
    }
  }

  @Test
  void testRefusals() {
    Path model = Fixtures.path("models/recall");
    EngineConfig base = EngineFixture.config(model, "fp16", 4, PromptOverflow.ERROR);
    assertUserError(
        ErrorCode.MEMORY_PLAN_REFUSED, () -> Engine.open(EngineFixture.withMemory(base, 1)));
    assertUserError(
        ErrorCode.SETTING_INVALID, () -> Engine.open(EngineFixture.withMaxModelLen(base, 2049)));
    assertUserError(
        ErrorCode.MODEL_NOT_FOUND,
        () ->
            Engine.open(
                EngineFixture.config(model.resolve("nothing"), "fp16", 4, PromptOverflow.ERROR)));
    assertUserError(
        ErrorCode.SETTING_INVALID,
        () -> Engine.open(EngineFixture.config(model, "int8", 4, PromptOverflow.ERROR)));
  }

  @Test
  void testAToyModelTakesLittle() {
    Path model = Fixtures.path("models/recall");
    EngineConfig config =
        new EngineConfig(
            model,
            "kivi2",
            BackendChoice.CPU,
            DtypeChoice.AUTO,
            GemmChoice.OWN,
            OptionalLong.empty(),
            0.9,
            4,
            OptionalInt.empty(),
            PromptOverflow.ERROR,
            1,
            0,
            SchedulingConfig.DEFAULT);
    try (Engine engine = Engine.open(config)) {
      MemoryPlan plan = engine.memoryPlan();
      assertEquals(4, plan.sequences(2048));
      long full = 4 * plan.layout().sequenceBytes(2048);
      long staging = (long) plan.stagingPages() * plan.layout().staging().pageBytes();
      assertEquals(full + staging, plan.cacheBytes());
      assertTrue(staging <= full / 4, staging + " bytes for shared beginnings beside " + full);
      assertEquals(plan.cacheBytes(), engine.metrics().cacheBytes());
    }
  }

  private static void assertRowError(Engine engine, Prompt prompt, ErrorCode code) {
    var future = engine.submit(new GenerateRequest("k", prompt, greedy(2).build()));
    assertEquals(code, error(future).code());
  }

  private static void assertUserError(ErrorCode code, Executable executable) {
    assertEquals(code, assertThrows(BulkgenException.class, executable).code());
  }

  private static BulkgenException error(CompletableFuture<?> future) {
    ExecutionException error =
        assertThrows(ExecutionException.class, () -> future.get(30, TimeUnit.SECONDS));
    return assertInstanceOf(BulkgenException.class, error.getCause());
  }
}
