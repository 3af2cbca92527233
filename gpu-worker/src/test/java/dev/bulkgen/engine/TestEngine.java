package dev.bulkgen.engine;

import static dev.bulkgen.engine.EngineFixture.greedy;
import static dev.bulkgen.engine.EngineFixture.recall;
import static dev.bulkgen.engine.EngineFixture.request;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.Fixtures;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import dev.bulkgen.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the engine generates, on the real CPU backend. */
class TestEngine {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int ROWS = 8;

  /** The shipped questions, the shortest first. */
  private static List<JsonNode> samples() throws IOException {
    List<JsonNode> rows = new ArrayList<>();
    for (String line : Files.readAllLines(Fixtures.path("models/recall/sample.jsonl"))) {
      rows.add(JSON.readTree(line));
    }
    rows.sort(Comparator.comparingInt(row -> row.get("prompt").asText().length()));
    return rows;
  }

  @ParameterizedTest
  @ValueSource(strings = {"fp16", "kivi2", "kivi:k=4,v=2,group=32,window=32,sink=32"})
  void testRecallsFacts(String kvCache) throws IOException {
    List<JsonNode> rows = samples().subList(0, 12);
    List<GenerateRequest> requests = new ArrayList<>();
    for (JsonNode row : rows) {
      requests.add(request("r" + requests.size(), row.get("prompt").asText(), greedy(2)));
    }
    int right = 0;
    try (Engine engine = Engine.open(recall(kvCache, 16))) {
      List<List<Completion>> completions = engine.generateAll(requests);
      for (int i = 0; i < rows.size(); i++) {
        String text = completions.get(i).get(0).text();
        right += text.equals(" " + rows.get(i).get("answer").asText() + " .") ? 1 : 0;
      }
      assertEquals(2L * rows.size(), engine.metrics().generatedTokens());
      assertTrue(engine.metrics().occupancy() > 0);
    }
    System.out.printf("recall, %s: %d of %d right%n", kvCache, right, rows.size());
    assertTrue(right >= 0.98 * rows.size(), right + " of " + rows.size());
  }

  @Test
  void testStoriesGreedyTokens() throws IOException {
    JsonNode golden =
        JSON.readTree(Fixtures.path("models/stories260k/golden_greedy.json").toFile());
    int[] prompt = JSON.convertValue(golden.get("prompt_ids"), int[].class);
    int[] greedy = JSON.convertValue(golden.get("greedy_ids"), int[].class);
    int[] expected =
        Arrays.equals(prompt, Arrays.copyOf(greedy, prompt.length))
            ? Arrays.copyOfRange(greedy, prompt.length, greedy.length)
            : greedy;
    SamplingParams params = greedy(expected.length).ignoreEos(true).build();
    try (Engine engine =
        Engine.open(
            EngineFixture.config(
                Fixtures.path("models/stories260k"), "fp16", 4, PromptOverflow.ERROR))) {
      Completion completion =
          engine
              .generateAll(List.of(new GenerateRequest("k", new Prompt.Tokens(prompt), params)))
              .get(0)
              .get(0);
      assertArrayEquals(expected, completion.tokenIds());
      assertEquals(FinishReason.LENGTH, completion.finishReason());
      assertEquals(new Usage(prompt.length, expected.length, 0), completion.usage());
      Tokenizer tokenizer = Tokenizer.load(Fixtures.path("models/stories260k"));
      assertEquals(tokenizer.decode(expected).strip(), completion.text().strip());
    }
  }

  /** P1: a row's completions do not depend on batch limit, order or neighbours. */
  @ParameterizedTest
  @ValueSource(strings = {"fp16", "kivi2"})
  void testSameRowsSameTokens(String kvCache) throws IOException {
    List<JsonNode> rows = samples();
    SamplingParamsBuilder params =
        new SamplingParamsBuilder().temperature(1).seed(9).n(2).maxTokens(16).ignoreEos(true);
    List<GenerateRequest> requests = new ArrayList<>();
    for (int i = 0; i < ROWS; i++) {
      requests.add(request("row-" + i, rows.get(8 + i % 4).get("prompt").asText(), params));
    }
    Map<String, String> expected = null;
    Random random = new Random(3);
    for (int maxBatch : new int[] {1, 7, 64}) {
      Map<String, String> completions = new TreeMap<>();
      try (Engine engine = Engine.open(recall(kvCache, maxBatch))) {
        List<List<Completion>> all = engine.generateAll(requests);
        for (int i = 0; i < requests.size(); i++) {
          completions.put(requests.get(i).key(), whole(all.get(i)));
        }
      }
      expected = expected == null ? completions : expected;
      for (String key : completions.keySet()) {
        assertEquals(expected.get(key), completions.get(key), key);
      }
      Collections.shuffle(requests, random);
    }
    assertEquals(ROWS, new HashSet<>(expected.values()).size());
  }

  /** All but the cached tokens, which tell what was saved. */
  private static String whole(List<Completion> completions) {
    StringBuilder text = new StringBuilder();
    for (Completion c : completions) {
      text.append(c.text()).append(Arrays.toString(c.tokenIds())).append(c.finishReason());
      text.append(c.usage().promptTokens()).append(',').append(c.usage().completionTokens());
    }
    return text.toString();
  }

  /** A record prints an array by its identity. */
  @Test
  void testSamplesDiffer() throws IOException {
    String prompt = samples().get(0).get("prompt").asText();
    SamplingParamsBuilder params =
        new SamplingParamsBuilder().temperature(1.5).n(4).maxTokens(12).ignoreEos(true);
    try (Engine engine = Engine.open(recall("auto", 8))) {
      List<Completion> samples = engine.generateAll(List.of(request("k", prompt, params))).get(0);
      Set<String> texts = new HashSet<>();
      for (int i = 0; i < 4; i++) {
        assertEquals(i, samples.get(i).sampleIndex());
        texts.add(samples.get(i).text());
      }
      assertTrue(texts.size() > 1);
    }
  }

  @Test
  void testFinishReasons() throws IOException {
    String prompt = samples().get(0).get("prompt").asText();
    String answer = samples().get(0).get("answer").asText();
    Tokenizer tokenizer = Tokenizer.load(Fixtures.path("models/recall"));
    int answerId = tokenizer.idOf(answer).getAsInt();
    int period = tokenizer.idOf(".").getAsInt();
    try (Engine engine = Engine.open(recall("fp16", 8))) {
      Completion length = one(engine, prompt, greedy(1));
      assertEquals(FinishReason.LENGTH, length.finishReason());
      assertEquals(" " + answer, length.text());
      assertArrayEquals(new int[] {answerId}, length.tokenIds());

      Completion stopToken = one(engine, prompt, greedy(9).stopTokenIds(Set.of(period)));
      assertEquals(FinishReason.STOP, stopToken.finishReason());
      assertEquals(Integer.toString(period), stopToken.stopReason());
      assertEquals(" " + answer, stopToken.text());
      assertArrayEquals(new int[] {answerId, period}, stopToken.tokenIds());
      assertEquals(2, stopToken.usage().completionTokens());

      // The stop string begins in one token and ends in the next.
      String across = answer.substring(1) + " .";
      Completion stopString = one(engine, prompt, greedy(9).stop(List.of("nowhere", across)));
      assertEquals(FinishReason.STOP, stopString.finishReason());
      assertEquals(across, stopString.stopReason());
      assertEquals(" " + answer.substring(0, 1), stopString.text());

      // What looked like the beginning of a stop string is given back.
      Completion held = one(engine, prompt, greedy(1).stop(List.of(across)));
      assertEquals(" " + answer, held.text());
      assertEquals(FinishReason.LENGTH, held.finishReason());

      Completion later =
          one(engine, prompt, greedy(9).minTokens(2).stop(List.of(answer)).ignoreEos(true));
      assertTrue(later.text().startsWith(" " + answer + " ."), later.text());
    }
  }

  @Test
  void testEndTokenAndMinTokens() throws IOException {
    List<JsonNode> rows = samples();
    int end = 2;
    try (Engine engine = Engine.open(recall("fp16", 8))) {
      // At a high temperature the end token comes sooner or later.
      SamplingParamsBuilder hot = new SamplingParamsBuilder().temperature(40).maxTokens(1200);
      Completion ended = one(engine, rows.get(0).get("prompt").asText(), hot);
      assertEquals(FinishReason.STOP, ended.finishReason());
      assertEquals(null, ended.stopReason());
      int[] ids = ended.tokenIds();
      assertEquals(end, ids[ids.length - 1]);
      assertEquals(ids.length, 1 + IntStream.of(ids).takeWhile(id -> id != end).count());

      Completion held =
          one(engine, rows.get(0).get("prompt").asText(), hot.minTokens(ids.length + 5));
      assertTrue(held.tokenIds().length > ids.length + 5);
      int[] before = Arrays.copyOf(held.tokenIds(), ids.length + 5);
      assertTrue(IntStream.of(before).noneMatch(id -> id == end));

      Completion ignored = one(engine, rows.get(0).get("prompt").asText(), hot.ignoreEos(true));
      assertEquals(1200, ignored.tokenIds().length);
      assertEquals(FinishReason.LENGTH, ignored.finishReason());
    }
  }

  @Test
  void testRunsToTheModelsLength() {
    SamplingParamsBuilder params = new SamplingParamsBuilder().temperature(0).ignoreEos(true);
    try (Engine engine = Engine.open(EngineFixture.withMaxModelLen(recall("kivi4", 2), 300))) {
      Completion completion = one(engine, "the old sun", params);
      assertEquals(FinishReason.LENGTH, completion.finishReason());
      assertEquals(300, completion.usage().promptTokens() + completion.usage().completionTokens());
    }
  }

  private static Completion one(Engine engine, String prompt, SamplingParamsBuilder params) {
    return engine.generateAll(List.of(request("key", prompt, params))).get(0).get(0);
  }
}
