package dev.bulkgen.spark.sink;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.bulkgen.Fixtures;
import dev.bulkgen.engine.Completion;
import dev.bulkgen.engine.FinishReason;
import dev.bulkgen.engine.Usage;
import dev.bulkgen.sampling.TokenLogProbs;
import dev.bulkgen.text.Detokenizer;
import dev.bulkgen.text.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Tokens that are no whole texts, and numbers that are no JSON. */
class TestOpenAiLogprobs {
  private static final String TEXT = " naïve 🙂🙃 東京 end";

  private static Completion completion(String text, int... ids) {
    TokenLogProbs told =
        new TokenLogProbs(
            Float.NEGATIVE_INFINITY,
            new int[] {ids[0], ids[0]},
            new float[] {-0.5f, Float.NEGATIVE_INFINITY});
    return new Completion(
        0,
        text,
        ids,
        FinishReason.STOP,
        null,
        new Usage(1, ids.length, 0),
        Collections.nCopies(ids.length, told));
  }

  @Test
  void testTokensWithinCharacters() {
    Tokenizer tokenizer = Tokenizer.load(Fixtures.path("tokenizers/falcon"));
    OpenAiLogprobs logprobs = new OpenAiLogprobs(new TokenTexts(Optional.of(tokenizer)));
    int[] ids = tokenizer.encode(TEXT);
    JsonNode content = logprobs.ofChat(completion(TEXT, ids)).get("content");
    assertEquals(ids.length, content.size());
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    int escaped = 0;
    for (JsonNode token : content) {
      ByteArrayOutputStream own = new ByteArrayOutputStream();
      token.get("bytes").forEach(value -> own.write(value.asInt()));
      bytes.writeBytes(own.toByteArray());
      String name = token.get("token").asText();
      escaped += name.startsWith("\\x") ? 1 : 0;
      assertTrue(name.startsWith("\\x") || name.equals(own.toString(StandardCharsets.UTF_8)), name);
    }
    assertEquals(TEXT, bytes.toString(StandardCharsets.UTF_8));
    assertTrue(escaped > 1, content.toString());
    JsonNode text = logprobs.ofText(completion(TEXT, ids));
    StringBuilder before = new StringBuilder();
    Detokenizer detokenizer = tokenizer.continuation();
    for (int index = 0; index < ids.length; index++) {
      int offset = before.codePointCount(0, before.length());
      assertEquals(offset, text.at("/text_offset/" + index).asInt());
      before.append(detokenizer.push(ids[index]));
    }
    assertEquals(content.at("/1/token"), text.at("/tokens/1"));
  }

  @Test
  void testWhatAStopStringCutOffIsAtTheEnd() {
    Tokenizer tokenizer = Tokenizer.load(Fixtures.path("tokenizers/falcon"));
    int[] ids = tokenizer.encode(" one two three four");
    JsonNode text =
        new OpenAiLogprobs(new TokenTexts(Optional.of(tokenizer))).ofText(completion(" one", ids));
    assertEquals("[0,4,4,4]", text.get("text_offset").toString());
  }

  @Test
  void testTokensWithoutTextGoByTheirIds() {
    OpenAiLogprobs logprobs = new OpenAiLogprobs(new TokenTexts(Optional.empty()));
    Completion completion = completion("", 7, 8);
    JsonNode text = logprobs.ofText(completion);
    assertEquals("[\"token_id:7\",\"token_id:8\"]", text.get("tokens").toString());
    assertEquals("[-9999.0,-9999.0]", text.get("token_logprobs").toString());
    assertEquals("[0,0]", text.get("text_offset").toString());
    assertEquals(
        "[{\"token_id:7\":-0.5},{\"token_id:7\":-0.5,\"token_id:8\":-9999.0}]",
        text.get("top_logprobs").toString());
    JsonNode token = logprobs.ofChat(completion).at("/content/1");
    assertTrue(token.get("bytes").isNull());
    assertEquals("token_id:8", token.get("token").asText());
  }
}
