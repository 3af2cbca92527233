package dev.bulkgen.text;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.Fixtures;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class TestTokenizer {
  private static final ObjectMapper JSON = new ObjectMapper();

  @ParameterizedTest
  @CsvSource({
    "llama2_fixed_derived, ggml-vocab-llama-spm",
    "llama3_derived, ggml-vocab-llama-bpe",
    "falcon, ggml-vocab-falcon"
  })
  void encodesEveryTextToTheExpectedIds(String folder, String expected) throws IOException {
    Tokenizer tokenizer = FixtureTokenizers.of("tokenizers/" + folder);
    String inputs =
        Files.readString(Fixtures.path("tokenizers/expected/" + expected + ".gguf.inp"));
    String outputs =
        Files.readString(Fixtures.path("tokenizers/expected/" + expected + ".gguf.out"));
    String[] texts = inputs.split("\n__ggml_vocab_test__\n", -1);
    String[] lines = outputs.split("\n", -1);
    // The input file ends with a separator; nothing follows it.
    int count = lines.length - 1;
    assertTrue(count > 40, "only " + count + " texts");
    assertEquals("", lines[count]);
    for (int i = 0; i < count; i++) {
      String text = texts[i];
      int[] ids =
          Arrays.stream(lines[i].strip().split("\\s+"))
              .filter(id -> !id.isEmpty())
              .mapToInt(Integer::parseInt)
              .toArray();
      assertArrayEquals(ids, tokenizer.encode(text), "text " + i + ": '" + text + "'");
    }
    System.out.printf("%s: %d texts encoded as expected%n", folder, count);
  }

  @Test
  void plainPromptsBeginWithOneBos() {
    Tokenizer llama = FixtureTokenizers.of("tokenizers/llama2_fixed_derived");
    assertEquals(1, llama.bosId().orElseThrow());
    assertArrayEquals(new int[] {1, 15043}, llama.encodePrompt("Hello"));
    assertArrayEquals(new int[] {1}, llama.encodePrompt(""));
    assertArrayEquals(llama.encode("<s>Hello"), llama.encodePrompt("<s>Hello"));
    assertEquals(1, llama.encodePrompt("<s>Hello")[0]);
    assertTrue(llama.encodePrompt("<s>Hello")[1] != 1);

    Tokenizer falcon = FixtureTokenizers.of("tokenizers/falcon");
    assertTrue(falcon.bosId().isEmpty());
    assertArrayEquals(falcon.encode("Hello"), falcon.encodePrompt("Hello"));
  }

  @Test
  void renderedChatKeepsItsSpecialTokensAndGetsNoMore() {
    Tokenizer llama = FixtureTokenizers.of("tokenizers/llama3_derived");
    int[] ids =
        llama.encodeRendered(
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>");
    assertEquals(128000, ids[0]);
    assertEquals(128006, ids[1]);
    assertEquals(128009, ids[ids.length - 1]);
    assertEquals(1, Arrays.stream(ids).filter(id -> id == 128000).count());
    assertTrue(llama.encodeRendered("Hi")[0] != 128000);
    assertEquals("user\n\nHi", llama.decode(ids));
    assertTrue(llama.decode(Detokenizer.SpecialTokens.KEEP, ids).startsWith("<|begin_of_text|>"));
  }

  @Test
  void endTokensAreThoseNamedByTheModelAndByItsTokenizer() {
    Tokenizer llama = FixtureTokenizers.of("tokenizers/llama3_derived");
    assertEquals(new TreeSet<>(Set.of(128001, 128009)), llama.eosIds(List.of(128009)));
    assertEquals(new TreeSet<>(Set.of(128001)), llama.eosIds(List.of()));
    assertEquals(128256, llama.vocabSize());
    Tokenizer recall = FixtureTokenizers.of("models/recall");
    assertEquals(new TreeSet<>(Set.of(2)), recall.eosIds(List.of(2)));
    assertArrayEquals(new int[] {0, 1, 2}, recall.specialIds());
  }

  @Test
  void recallKnowsEveryWordOfItsSamples() throws IOException {
    Tokenizer tokenizer = FixtureTokenizers.of("models/recall");
    for (String line : Files.readAllLines(Fixtures.path("models/recall/sample.jsonl"))) {
      String prompt = JSON.readTree(line).path("prompt").textValue();
      int[] ids = tokenizer.encodePrompt(prompt);
      assertEquals(prompt.split("\\s+").length + 1, ids.length);
      assertEquals(1, ids[0]);
      assertTrue(Arrays.stream(ids).noneMatch(id -> id == 0), prompt);
      assertEquals(prompt, tokenizer.decode(ids));
    }
  }

  @Test
  void stories260kDecodesItsGoldenStory() throws IOException {
    Tokenizer tokenizer = FixtureTokenizers.of("models/stories260k");
    JsonNode golden =
        JSON.readTree(Fixtures.path("models/stories260k/golden_greedy.json").toFile());
    int[] ids =
        IntStream.range(0, golden.path("greedy_ids").size())
            .map(i -> golden.path("greedy_ids").get(i).intValue())
            .toArray();
    assertEquals(golden.path("text").textValue(), tokenizer.decode(ids));
    assertArrayEquals(ids, tokenizer.encodePrompt(tokenizer.decode(ids).strip()), "round trip");
  }

  @Test
  void hostileTextIsEncodedWithoutHarm() {
    Tokenizer tokenizer = FixtureTokenizers.of("tokenizers/llama3_derived");
    assertEquals("a\0b", tokenizer.decode(tokenizer.encode("a\0b")));
    assertEquals("a\ufffdb\ufffd", tokenizer.decode(tokenizer.encode("a\ud83db\ude00")));
    assertEquals("\ufffd", tokenizer.decode(tokenizer.encode("\ud83d")));
    assertEquals(0, tokenizer.encode("").length);
    assertEquals("", tokenizer.decode(-1, Integer.MAX_VALUE));
  }

  @Test
  void threadsShareATokenizer() throws Exception {
    Tokenizer tokenizer = FixtureTokenizers.of("tokenizers/llama2_fixed_derived");
    ExecutorService pool = Executors.newFixedThreadPool(4);
    try {
      Callable<Integer> work =
          () -> {
            Random random = new Random(11);
            int checked = 0;
            for (int i = 0; i < 500; i++) {
              String text = "number " + random.nextInt() + " 東京 🙂";
              assertEquals(text, tokenizer.decode(tokenizer.encodePrompt(text)));
              checked++;
            }
            return checked;
          };
      for (Future<Integer> done : pool.invokeAll(List.of(work, work, work, work))) {
        assertEquals(500, done.get());
      }
    } finally {
      pool.shutdownNow();
    }
  }

  @Test
  void truncationAndPaddingOfTheFileAreOff(@TempDir Path folder) throws IOException {
    ObjectNode file =
        (ObjectNode) JSON.readTree(Fixtures.path("models/recall/tokenizer.json").toFile());
    file.set(
        "truncation",
        JSON.readTree(
            "{\"direction\":\"Right\",\"max_length\":4,\"strategy\":\"LongestFirst\",\"stride\":0}"));
    file.set(
        "padding",
        JSON.readTree(
            "{\"strategy\":{\"Fixed\":64},\"direction\":\"Right\",\"pad_to_multiple_of\":null,"
                + "\"pad_id\":0,\"pad_type_id\":0,\"pad_token\":\"<unk>\"}"));
    JSON.writeValue(folder.resolve("tokenizer.json").toFile(), file);
    Tokenizer tokenizer = Tokenizer.load(folder);
    assertEquals(8, tokenizer.encodePrompt("the old sun the old sun the").length);
  }

  @ParameterizedTest
  @CsvSource({"true, 1", "false, 0"})
  void addBosTokenOverridesThePostProcessor(boolean add, int expected, @TempDir Path folder)
      throws IOException {
    Files.copy(Fixtures.path("models/recall/tokenizer.json"), folder.resolve("tokenizer.json"));
    Files.writeString(
        folder.resolve("tokenizer_config.json"),
        "{\"bos_token\":{\"content\":\"<s>\"},\"add_bos_token\":" + add + "}");
    assertEquals(1 + expected, Tokenizer.load(folder).encodePrompt("sun").length);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "",
        "[]",
        "{",
        "{}",
        "{\"model\":3}",
        "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":-1},\"unk_token\":\"a\"}}",
        "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":99999999999},\"unk_token\":\"a\"}}",
        "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":\"0\"},\"unk_token\":\"a\"}}",
        "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",[[]]]],\"unk_id\":0}}",
        "{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"b\":0},\"unk_token\":\"?\"}}",
        "{\"model\":{\"type\":\"Unknown\",\"vocab\":{\"a\":0}}}",
        "{\"decoder\":{\"type\":\"CTC\"},\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0},"
            + "\"unk_token\":\"a\"}}"
      })
  void malformedFilesAreRefusedWithAWayOut(String content, @TempDir Path folder)
      throws IOException {
    Files.writeString(folder.resolve("tokenizer.json"), content);
    BulkgenException error = assertThrows(BulkgenException.class, () -> Tokenizer.load(folder));
    assertEquals(ErrorCode.TOKENIZER_INVALID, error.code());
    assertTrue(error.getMessage().contains("tokenizer.json"), error.getMessage());
    assertTrue(error.getMessage().contains("token ids"), error.getMessage());
  }

  @Test
  void aMissingFileIsRefusedWithAWayOut(@TempDir Path folder) {
    BulkgenException error = assertThrows(BulkgenException.class, () -> Tokenizer.load(folder));
    assertEquals(ErrorCode.TOKENIZER_INVALID, error.code());
    assertTrue(error.getMessage().contains("token ids"), error.getMessage());
  }
}
