package dev.bulkgen.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.Fixtures;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TestDetokenizer {
  private static final String LLAMA_2 = "tokenizers/llama2_fixed_derived";
  private static final String LLAMA_3 = "tokenizers/llama3_derived";
  private static final String FALCON = "tokenizers/falcon";
  private static final List<String> TEXTS =
      List.of(
          "",
          " ",
          "   three spaces",
          "Hello, world!\n\n\tIndented.  Two  spaces ",
          "naïve café — “quotes” … ½ €",
          "東京は日本の首都です。中文字符測試",
          "مرحبا بالعالم، كيف حالك؟",
          "שלום עולם नमस्ते ไทย",
          "🙂🙃 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽",
          "e\u0301 \u200d\u200b\ufeff\ufffd",
          "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𒀀𒁀 \udbff\udffd",
          "<s>a</s> <0x41> <|eot_id|> ▁under",
          "\u0000\u0001\u007f\u0080\u00ad");

  @ParameterizedTest
  @ValueSource(strings = {LLAMA_2, LLAMA_3, FALCON, "models/stories260k"})
  void partsAreFinalWholeAndAddUpToTheWhole(String folder) {
    Tokenizer tokenizer = FixtureTokenizers.of(folder);
    for (String text : TEXTS) {
      int[] ids = tokenizer.encode(text);
      String expected = tokenizer.decodeByLibrary(ids, true);
      Detokenizer detokenizer = tokenizer.detokenizer();
      StringBuilder all = new StringBuilder();
      for (int id : ids) {
        String part = detokenizer.push(id);
        all.append(part);
        assertWhole(part);
        assertTrue(expected.startsWith(all.toString()), () -> "not final: " + all);
      }
      all.append(detokenizer.finish());
      assertEquals(expected, all.toString());
      assertEquals(expected, tokenizer.decode(ids));
      assertEquals(
          tokenizer.decodeByLibrary(ids, false),
          tokenizer.decode(Detokenizer.SpecialTokens.KEEP, ids));
    }
  }

  /** Special tokens are left out of a text, but have bytes. */
  @ParameterizedTest
  @ValueSource(strings = {LLAMA_2, LLAMA_3, FALCON, "models/stories260k", "models/recall"})
  void bytesOfTokensAddUpToTheText(String folder) {
    Tokenizer tokenizer = FixtureTokenizers.of(folder);
    for (String text : TEXTS) {
      Detokenizer detokenizer = tokenizer.continuation();
      StringBuilder expected = new StringBuilder();
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      for (int id : tokenizer.encode(text)) {
        expected.append(detokenizer.push(id));
        if (!tokenizer.isSpecial(id)) {
          bytes.writeBytes(tokenizer.bytes(id).orElseThrow());
        }
      }
      expected.append(detokenizer.finish());
      assertEquals(expected.toString(), bytes.toString(StandardCharsets.UTF_8));
    }
    for (int id : tokenizer.specialIds()) {
      byte[] name = tokenizer.bytes(id).orElseThrow();
      assertEquals(id, tokenizer.idOf(new String(name, StandardCharsets.UTF_8)).orElseThrow());
    }
    assertTrue(tokenizer.bytes(tokenizer.vocabSize()).isEmpty());
  }

  @ParameterizedTest
  @ValueSource(strings = {LLAMA_3, FALCON, "models/recall"})
  void anyTokensGiveTheTextOfTheLibrary(String folder) {
    Tokenizer tokenizer = FixtureTokenizers.of(folder);
    SplittableRandom random = new SplittableRandom(5);
    for (int round = 0; round < 2000; round++) {
      int[] ids = random.ints(random.nextInt(1, 12), 0, tokenizer.vocabSize()).toArray();
      assertEquals(tokenizer.decodeByLibrary(ids, true), tokenizer.decode(ids));
    }
  }

  @Test
  void byteTokensGiveTheTextOfTheLibraryUnlessARunMixesWholeAndStray() {
    Tokenizer tokenizer = FixtureTokenizers.of(LLAMA_2);
    SplittableRandom random = new SplittableRandom(6);
    int compared = 0;
    for (int round = 0; round < 2000; round++) {
      List<Integer> ids = new ArrayList<>();
      for (int run = random.nextInt(1, 5); run > 0; run--) {
        if (random.nextBoolean()) {
          for (int b = random.nextInt(1, 4); b > 0; b--) {
            // Bytes 0x80 to 0xBF never begin a character: each is stray.
            ids.add(3 + random.nextInt(0x80, 0xc0));
          }
        } else {
          for (byte b :
              Character.toString(random.nextInt(0x4e00, 0x9fff)).getBytes(StandardCharsets.UTF_8)) {
            ids.add(3 + (b & 0xff));
          }
        }
        ids.add(random.nextInt(300, tokenizer.vocabSize()));
      }
      int[] array = ids.stream().mapToInt(Integer::intValue).toArray();
      assertEquals(tokenizer.decodeByLibrary(array, true), tokenizer.decode(array));
      compared++;
    }
    assertEquals(2000, compared);
    // 東 and a stray byte, one run.
    assertEquals("東\ufffd", tokenizer.decode(3 + 0xe6, 3 + 0x9d, 3 + 0xb1, 3 + 0x80));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "{'type':'Metaspace','replacement':'▁','add_prefix_space':true,'prepend_scheme':'always'}",
        "{'type':'Metaspace','replacement':'▁','add_prefix_space':true,'prepend_scheme':'never'}",
        "{'type':'Sequence','decoders':[{'type':'ByteFallback'},"
            + "{'type':'Metaspace','replacement':'▁','add_prefix_space':true}]}",
        "{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'▁'},'content':' '},"
            + "{'type':'ByteFallback'},{'type':'Fuse'}]}",
        "{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'▁'},'content':' '},"
            + "{'type':'ByteFallback'},{'type':'Fuse'},"
            + "{'type':'Strip','content':' ','start':3,'stop':0}]}",
        "{'type':'Sequence','decoders':[{'type':'ByteLevel','add_prefix_space':false,"
            + "'trim_offsets':false,'use_regex':false}]}",
        "{'type':'Fuse'}",
        "null"
      })
  void everyDecoderGivesTheTextOfTheLibrary(String decoder, @TempDir Path folder)
      throws IOException {
    ObjectMapper mapper = new ObjectMapper();
    ObjectNode file =
        (ObjectNode) mapper.readTree(Fixtures.path("models/stories260k/tokenizer.json").toFile());
    file.set("decoder", mapper.readTree(decoder.replace('\'', '"')));
    mapper.writeValue(folder.resolve("tokenizer.json").toFile(), file);
    Tokenizer tokenizer = Tokenizer.load(folder);
    for (String text : TEXTS) {
      int[] ids = tokenizer.encode(text);
      assertEquals(tokenizer.decodeByLibrary(ids, true), tokenizer.decode(ids), text);
    }
    SplittableRandom random = new SplittableRandom(9);
    for (int round = 0; round < 500; round++) {
      // From 259 on: the tokens before are single bytes.
      int[] ids = random.ints(8, 259, tokenizer.vocabSize()).toArray();
      assertEquals(tokenizer.decodeByLibrary(ids, true), tokenizer.decode(ids));
    }
  }

  @Test
  void aCharacterOfSeveralTokensComesWithItsLast() {
    Tokenizer tokenizer = FixtureTokenizers.of(LLAMA_2);
    Detokenizer detokenizer = tokenizer.detokenizer();
    assertEquals("", detokenizer.push(3 + 0xf0));
    assertEquals("", detokenizer.push(3 + 0x9f));
    assertEquals("", detokenizer.push(3 + 0x99));
    assertEquals("🙂", detokenizer.push(3 + 0x82));
    assertEquals("\n", detokenizer.push(3 + 0x0a));
    assertEquals("", detokenizer.push(3 + 0xe2));
    assertEquals("", detokenizer.push(3 + 0x82));
    assertEquals("\ufffd\ufffd", detokenizer.finish());
  }

  @Test
  void aContinuationKeepsTheSpaceThatATextLoses() {
    Tokenizer llama = FixtureTokenizers.of(LLAMA_2);
    int hello = llama.idOf("▁Hello").orElseThrow();
    Detokenizer start = llama.detokenizer();
    assertEquals("Hello", start.push(hello));
    assertEquals(" Hello", start.push(hello));
    assertEquals(" Hello", llama.continuation().push(hello));

    Tokenizer recall = FixtureTokenizers.of("models/recall");
    int sun = recall.idOf("sun").orElseThrow();
    assertEquals("sun", recall.detokenizer().push(sun));
    assertEquals(" sun", recall.continuation().push(sun));
  }

  @Test
  void specialTokensBeforeTheTextDoNotCountAsItsStart() {
    Tokenizer llama = FixtureTokenizers.of(LLAMA_2);
    int hello = llama.idOf("▁Hello").orElseThrow();
    assertEquals("Hello", llama.decode(1, hello));
    assertEquals(llama.decodeByLibrary(new int[] {1, hello}, true), llama.decode(1, hello));
  }

  private static void assertWhole(String part) {
    if (!part.isEmpty()) {
      assertFalse(Character.isHighSurrogate(part.charAt(part.length() - 1)), part);
      assertFalse(Character.isLowSurrogate(part.charAt(0)), part);
    }
  }
}
