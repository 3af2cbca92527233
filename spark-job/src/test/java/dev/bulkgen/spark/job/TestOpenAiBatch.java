package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SpecVersion.VersionFlag;
import com.networknt.schema.ValidationMessage;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.Sessions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** OpenAI batch files in and out, against their published shape. */
class TestOpenAiBatch {
  private static final SparkSession SPARK = Sessions.shared();
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  private Path model;

  /** The example's model with a template that leaves chats as they were trained. */
  @BeforeEach
  void giveModelATemplate() throws Exception {
    model = Files.createDirectories(folder.resolve("chat-model"));
    try (Stream<Path> files = Files.list(Path.of("../examples/models/recall"))) {
      for (Path file : files.toList()) {
        Files.copy(file, model.resolve(file.getFileName()));
      }
    }
    Files.writeString(
        model.resolve("chat_template.jinja"),
        "{% for m in messages %}{{ m['content'] }}{% if not loop.last %} {% endif %}{% endfor %}");
  }

  private static String line(String id, String url, String body) {
    return "{\"custom_id\":\""
        + id
        + "\",\"method\":\"POST\",\"url\":\""
        + url
        + "\",\"body\":{\"model\":\"m\","
        + body
        + "}}";
  }

  private static String chat(String id, String more) {
    return line(
        id,
        "/v1/chat/completions",
        "\"messages\":[{\"role\":\"user\",\"content\":\"ada 11 . bob 12 . ada\"}]" + more);
  }

  private static String completion(String id, String more) {
    return line(id, "/v1/completions", "\"prompt\":\"ada 11 . bob 12 . ada\"" + more);
  }

  private JobRun job(Path output, String... lines) throws Exception {
    Path input = Files.write(folder.resolve("in.jsonl"), List.of(lines));
    return new JobRun(SPARK, input, output)
        .with("model", model.toString(), "input-format", "openai-batch", "max-tokens", "2")
        .with("max-error-rate", "1");
  }

  private static JsonSchema schema(String name) {
    return JsonSchemaFactory.getInstance(VersionFlag.V202012)
        .getSchema(TestOpenAiBatch.class.getResourceAsStream("/openai/" + name));
  }

  /** Lines by custom_id, each checked against the schema. */
  private static Map<String, JsonNode> lines(Path output) throws Exception {
    JsonSchema schema = schema("batch-output.schema.json");
    Map<String, JsonNode> lines = new TreeMap<>();
    if (!Files.exists(output)) {
      return lines;
    }
    List<Path> files;
    try (Stream<Path> found = Files.list(output)) {
      files = found.filter(file -> file.toString().endsWith(".jsonl")).toList();
    }
    for (Path file : files) {
      for (String text : Files.readAllLines(file)) {
        JsonNode line = JSON.readTree(text);
        assertEquals(List.<ValidationMessage>of(), List.copyOf(schema.validate(line)), text);
        lines.put(line.get("custom_id").asText(), line);
      }
    }
    return lines;
  }

  @Test
  void testRequestsAreAnsweredInTheirShape() throws Exception {
    Path output = folder.resolve("out");
    String[] requests = {
      chat(
          "chat", ",\"max_completion_tokens\":1,\"user\":\"u\",\"stream\":false,\"logprobs\":null"),
      completion("plain", ",\"max_tokens\":1"),
      completion("two", ",\"n\":2,\"temperature\":0.7,\"seed\":5,\"max_tokens\":3"),
      line(
          "parts",
          "/v1/chat/completions",
          "\"messages\":[{\"role\":\"system\",\"content\":\"ada 11 .\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"bob 12 . \"},{\"type\":\"text\",\"text\":\"ada\"}]}],\"max_tokens\":1"),
      line("tokens", "/v1/completions", "\"prompt\":[1,121,32],\"max_tokens\":1"),
      completion("job", "")
    };
    JsonSchema input = schema("batch-request.schema.json");
    for (String request : requests) {
      assertEquals(List.of(), List.copyOf(input.validate(JSON.readTree(request))));
    }
    JobReport report = job(output, requests).with("output-format", "openai-batch").run();
    assertEquals(0, report.failedRows());
    Map<String, JsonNode> lines = lines(output);
    assertEquals(
        List.of("chat", "job", "parts", "plain", "tokens", "two"), List.copyOf(lines.keySet()));
    JsonNode chat = lines.get("chat").at("/response/body");
    assertEquals("chat.completion", chat.get("object").asText());
    assertEquals("11", chat.at("/choices/0/message/content").asText().strip());
    assertEquals("length", chat.at("/choices/0/finish_reason").asText());
    assertEquals("m", chat.get("model").asText());
    assertEquals(1, chat.at("/usage/completion_tokens").asInt());
    assertEquals(
        "11", lines.get("parts").at("/response/body/choices/0/message/content").asText().strip());
    assertEquals("11", lines.get("plain").at("/response/body/choices/0/text").asText().strip());
    JsonNode two = lines.get("two").at("/response/body");
    assertEquals(2, two.get("choices").size());
    assertEquals(1, two.at("/choices/1/index").asInt());
    // What the request does not say, the job says.
    assertEquals(2, lines.get("job").at("/response/body/usage/completion_tokens").asInt());
    assertTrue(lines(output.resolve("errors")).isEmpty());
  }

  @Test
  void testWhatIsNotSupportedIsAnErrorThatNamesTheField() throws Exception {
    Path output = folder.resolve("out");
    JobReport report =
        job(
                output,
                completion("ok", ""),
                completion("logprobs", ",\"logprobs\":true"),
                completion("many", ",\"logprobs\":101"),
                completion("mixed", ",\"logprobs\":1,\"top_logprobs\":1"),
                chat("number", ",\"logprobs\":2"),
                chat("top", ",\"logprobs\":true,\"top_logprobs\":21"),
                chat("alone", ",\"logprobs\":false,\"top_logprobs\":2"),
                chat("tools", ",\"tools\":[{\"type\":\"function\"}]"),
                chat("format", ",\"response_format\":{\"type\":\"json_object\"}"),
                chat("unknown", ",\"frobnicate\":1"),
                chat("range", ",\"temperature\":-1"),
                chat("type", ",\"top_p\":\"high\""),
                chat("both", ",\"max_tokens\":1,\"max_completion_tokens\":2"),
                line("url", "/v1/embeddings", "\"input\":\"x\""),
                line(
                    "image",
                    "/v1/chat/completions",
                    "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}]"),
                line(
                    "call",
                    "/v1/chat/completions",
                    "\"messages\":[{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[]}]"),
                line("empty", "/v1/completions", "\"prompt\":\"\""),
                "{\"custom_id\":\"lost\",\"method\":\"POST\",\"url\":\"/v1/completions\"}")
            .with("output-format", "openai-batch")
            .run();
    assertEquals(17, report.failedRows());
    assertEquals(List.of("ok"), List.copyOf(lines(output).keySet()));
    Map<String, JsonNode> errors = lines(output.resolve("errors"));
    assertEquals(17, errors.size());
    Map<String, String> expected = new TreeMap<>();
    expected.put("logprobs", "logprobs: true is no whole number");
    expected.put("many", "logprobs: 101 is outside [0, 100]");
    expected.put("mixed", "body.top_logprobs: not supported (1)");
    expected.put("number", "body.logprobs: 2 is neither true nor false");
    expected.put("top", "body.top_logprobs: 21 is no whole number from 0 to 20");
    expected.put("alone", "body.top_logprobs: give \"logprobs\": true with it");
    expected.put("tools", "body.tools: not supported");
    expected.put("format", "body.response_format: not supported ({\"type\":\"json_object\"})");
    expected.put("unknown", "body.frobnicate: not supported (1)");
    expected.put("range", "temperature: -1 is outside [0, 100]");
    expected.put("type", "top_p: \"high\" is no number");
    expected.put("both", "max_tokens and max_completion_tokens say the same");
    expected.put("url", "url: '/v1/embeddings' is neither");
    expected.put("image", "body.messages[0].content: a part is not text");
    expected.put("call", "body.messages[0].tool_calls: not supported");
    expected.put("empty", "body.prompt: empty");
    expected.forEach(
        (id, message) -> {
          String found = errors.get(id).at("/error/message").asText();
          assertTrue(found.contains(message), id + ": " + found);
        });
    assertFalse(errors.containsKey("lost"));
    JsonNode lost =
        errors.values().stream()
            .filter(line -> line.at("/error/code").asText().equals("ROW_MALFORMED"))
            .findFirst()
            .orElseThrow();
    assertTrue(lost.at("/error/message").asText().contains("line 18: not a batch request: body"));
  }

  /** The schema checks the shapes; a row's own wish goes before the job's. */
  @Test
  void testLogprobs() throws Exception {
    Path output = folder.resolve("out");
    String[] requests = {
      chat("chat", ",\"logprobs\":true,\"top_logprobs\":2"),
      chat("bare", ",\"logprobs\":true"),
      chat("none", ",\"logprobs\":false,\"top_logprobs\":0"),
      chat("job", ""),
      completion("text", ",\"logprobs\":2,\"n\":2"),
      completion("zero", ",\"logprobs\":0")
    };
    job(output, requests).with("output-format", "openai-batch", "logprobs", "3").run();
    Map<String, JsonNode> choices = new TreeMap<>();
    lines(output).forEach((id, line) -> choices.put(id, line.at("/response/body/choices")));
    assertTrue(choices.get("none").at("/0/logprobs").isNull());
    JsonNode chat = choices.get("chat").at("/0/logprobs/content");
    assertEquals(2, chat.size());
    assertEquals(" 11", chat.at("/0/token").asText());
    assertEquals(JSON.readTree("[32,49,49]"), chat.at("/0/bytes"));
    assertEquals(2, chat.at("/1/top_logprobs").size());
    assertEquals(chat.at("/0/logprob"), chat.at("/0/top_logprobs/0/logprob"));
    JsonNode bare = choices.get("bare").at("/0/logprobs/content/0");
    assertEquals(chat.at("/0/logprob"), bare.get("logprob"));
    assertEquals(0, bare.get("top_logprobs").size());
    assertEquals(3, choices.get("job").at("/0/logprobs/content/0/top_logprobs").size());
    JsonNode text = choices.get("text").at("/1/logprobs");
    assertEquals(choices.get("text").at("/0/logprobs"), text, "both samples are greedy");
    assertEquals(
        choices.get("text").at("/1/text").asText(),
        text.at("/tokens/0").asText() + text.at("/tokens/1").asText());
    assertEquals(JSON.readTree("[0,3]"), text.get("text_offset"));
    assertEquals(2, text.at("/top_logprobs/0").size());
    assertEquals(text.at("/token_logprobs/0"), text.at("/top_logprobs/0/ 11"));
    JsonNode zero = choices.get("zero").at("/0/logprobs");
    assertEquals(1, zero.at("/top_logprobs/0").size());
    assertEquals(zero.at("/token_logprobs/1"), zero.at("/top_logprobs/1").iterator().next());
  }

  @Test
  void testRequestsKeepTheirColumnsInTables() throws Exception {
    Path output = folder.resolve("out");
    job(output, chat("a", ",\"temperature\":1.50"), completion("b", ",\"stop\":\"x\"")).run();
    List<Row> rows = JobRun.read(SPARK, output);
    assertEquals("a", rows.get(0).getAs("custom_id"));
    assertTrue(rows.get(0).<String>getAs("body").contains("\"temperature\":1.50"));
    assertEquals("/v1/completions", rows.get(1).getAs("url"));
  }

  @Test
  void testOneNameForTwoRequestsIsRefused() throws Exception {
    Path output = folder.resolve("out");
    JobRun run = job(output, completion("a", ""), completion("a", ""));
    BulkgenException e = assertThrows(BulkgenException.class, run::run);
    assertEquals(ErrorCode.INPUT_INVALID, e.code());
    assertTrue(e.getMessage().contains("a (2 times)"), e.getMessage());
  }

  /** Names in the answers follow from row and settings; other settings, other names. */
  @Test
  void testNamesDoNotDependOnTheRun() throws Exception {
    Path first = folder.resolve("first");
    Path second = folder.resolve("second");
    Path other = folder.resolve("other");
    String[] requests = {completion("a", ""), completion("b", "")};
    job(first, requests).with("output-format", "openai-batch").run();
    job(second, requests).with("output-format", "openai-batch", "unit-rows", "1").run();
    job(other, requests).with("output-format", "openai-batch", "seed", "9").run();
    assertEquals(lines(first), lines(second));
    assertNotEquals(lines(first).get("a").get("id"), lines(other).get("a").get("id"));
    List<String> ids = new ArrayList<>();
    lines(first).values().forEach(line -> ids.add(line.get("id").asText()));
    assertEquals(2, ids.stream().distinct().count());
  }

  /** Rows of any other input answer as batch output too. */
  @Test
  void testOtherRowsBecomeBatchOutput() throws Exception {
    Path input = JobRun.prompts(folder.resolve("in.jsonl"), 3);
    Path output = folder.resolve("out");
    new JobRun(SPARK, input, output)
        .with("output-format", "openai-batch", "id-column", "id", "max-tokens", "1")
        .run();
    Map<String, JsonNode> lines = lines(output);
    assertEquals(List.of("r000", "r001", "r002"), List.copyOf(lines.keySet()));
    assertEquals("text_completion", lines.get("r000").at("/response/body/object").asText());
  }
}
