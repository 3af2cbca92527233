package dev.bulkgen.engine;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.Fixtures;
import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.text.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which tokens of prompts and completions are scored. */
class TestCompletionEncoder {
  private static final String RECALL = "models/recall";
  private static final String STORIES = "models/stories260k";
  private static final int END_TOKEN = 2;

  private static CompletionEncoder open(Path folder, int vocabSize, OptionalInt prefixToken) {
    LocalDateTime now = LocalDateTime.of(2026, 1, 1, 0, 0);
    return new CompletionEncoder(
        PromptEncoder.open(folder, vocabSize, 512, PromptOverflow.ERROR, now), prefixToken);
  }

  private static ScoredTokens encode(CompletionEncoder encoder, String prompt, Prompt completion) {
    return encoder
        .encode(new ScoreRequest("k", new Prompt.Text(prompt), List.of(completion)))
        .get(0);
  }

  private static Prompt.Text text(String text) {
    return new Prompt.Text(text);
  }

  /** As lm-evaluation-harness's {@code _encode_pair}, written after it. */
  @Test
  void testTextsAreCutAsTheHarnessCutsThem() {
    String[] pieces = {
      "the", " ", "cat", "\n", "\u00a0", "é", "😀", "<s>", "</s>", ".", "\t", " Lily", "'s",
      "\u2003", "\u001c", "\u0085", "\u200b"
    };
    String white = " \n\u00a0\t\u2003\u001c\u0085";
    Random random = new Random(11);
    Tokenizer tokenizer = Tokenizer.load(Fixtures.path(STORIES));
    CompletionEncoder encoder = open(Fixtures.path(STORIES), 512, OptionalInt.of(1));
    for (int i = 0; i < 300; i++) {
      String prompt = pick(random, pieces, 6);
      String completion = pick(random, pieces, 4);
      int end = prompt.length();
      while (end > 0 && white.indexOf(prompt.charAt(end - 1)) >= 0) {
        end--;
      }
      int[] whole = tokenizer.encodePrompt(prompt + completion);
      int context = tokenizer.encodePrompt(prompt.substring(0, end)).length;
      ScoredTokens scored = encode(encoder, prompt, text(completion));
      String pair = "'" + prompt + "' and '" + completion + "'";
      assertArrayEquals(whole, scored.tokens(), pair);
      assertEquals(context, scored.first(), pair);
    }
  }

  private static String pick(Random random, String[] pieces, int most) {
    return random
        .ints(1 + random.nextInt(most), 0, pieces.length)
        .mapToObj(i -> pieces[i])
        .collect(Collectors.joining());
  }

  @ParameterizedTest
  @ValueSource(strings = {"the cat", "the cat ", "the cat\n", " "})
  void testAnEmptyCompletionHasNoTokens(String prompt) {
    for (String model : List.of(RECALL, STORIES)) {
      CompletionEncoder encoder = open(Fixtures.path(model), 512, OptionalInt.of(1));
      assertEquals(0, encode(encoder, prompt, text("")).count(), model);
      assertEquals(0, encode(encoder, prompt, new Prompt.Tokens(new int[0])).count(), model);
    }
  }

  /** Its tokenizer makes nothing of white space. */
  @Test
  void testModelWithoutABeginningToken(@TempDir Path folder) throws IOException {
    CompletionEncoder encoder = open(bareTokenizer(folder), 288, OptionalInt.of(END_TOKEN));
    Prompt ids = new Prompt.Tokens(new int[] {18, 7});
    for (String prompt : List.of("", "  ")) {
      for (Prompt completion : List.of(text("the cat"), ids)) {
        ScoredTokens scored = encode(encoder, prompt, completion);
        assertArrayEquals(new int[] {END_TOKEN, 18, 7}, scored.tokens());
        assertEquals(1, scored.first());
      }
      assertEquals(0, encode(encoder, prompt, text("")).count());
      assertEquals(0, encode(encoder, prompt, new Prompt.Tokens(new int[0])).count());
    }
    CompletionEncoder without = open(folder, 288, OptionalInt.empty());
    BulkgenException e = assertThrows(BulkgenException.class, () -> encode(without, "  ", ids));
    assertEquals(ErrorCode.PROMPT_INVALID, e.code());
  }

  private static Path bareTokenizer(Path folder) throws IOException {
    String file = Files.readString(Fixtures.path(RECALL).resolve("tokenizer.json"));
    String bare = file.replaceFirst("(?s)\"post_processor\": \\{.*?\"decoder\"", "\"decoder\"");
    assertTrue(bare.length() < file.length());
    Files.writeString(folder.resolve("tokenizer.json"), bare);
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"eos_token\": \"</s>\"}");
    return folder;
  }

  @Test
  void testErrorsTellPromptFromCompletion() {
    CompletionEncoder encoder = open(Fixtures.path(RECALL), 288, OptionalInt.of(1));
    assertMessage(encoder, new int[] {5, 288}, new int[] {5}, "token 1 of the prompt is 288");
    assertMessage(encoder, new int[] {5}, new int[] {5, -1}, "token 1 of a completion is -1");
    assertMessage(encoder, new int[] {5}, null, "a completion has no tokens");
  }

  private static void assertMessage(
      CompletionEncoder encoder, int[] prompt, int[] completion, String expected) {
    ScoreRequest request =
        new ScoreRequest("k", new Prompt.Tokens(prompt), List.of(new Prompt.Tokens(completion)));
    BulkgenException e = assertThrows(BulkgenException.class, () -> encoder.encode(request));
    assertTrue(e.getMessage().startsWith(expected), e.getMessage());
  }
}
