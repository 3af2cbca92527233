package dev.bulkgen.spark.source;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.IntNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.NullNode;
import dev.bulkgen.engine.Prompt;
import dev.bulkgen.engine.Prompt.Message;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;

/**
 * A request of an OpenAI batch file: the columns it becomes, and what its body asks. A field that
 * would change the answer and is not supported is an error of its row, never left out in silence.
 */
public final class BatchRequest {
  /** Column: names the request in its file. */
  public static final String CUSTOM_ID = "custom_id";

  static final String METHOD = "method";

  /** Column: the endpoint. */
  public static final String URL = "url";

  /** Column: the request's body, as JSON text. */
  public static final String BODY = "body";

  public static final String CHAT = "/v1/chat/completions";
  static final String COMPLETIONS = "/v1/completions";

  static final StructType SCHEMA =
      new StructType()
          .add(CUSTOM_ID, DataTypes.StringType)
          .add(METHOD, DataTypes.StringType)
          .add(URL, DataTypes.StringType)
          .add(BODY, DataTypes.StringType);

  private static final String TOP_LOGPROBS = "top_logprobs";
  private static final Set<String> LOGPROBS = Set.of(RowSampling.LOGPROBS, TOP_LOGPROBS);
  private static final int MOST_TOP_LOGPROBS = 20;

  /** Numbers stay as they are written. */
  private static final ObjectMapper JSON =
      new ObjectMapper()
          .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
          .setNodeFactory(JsonNodeFactory.withExactBigDecimals(true));

  /** Say who asks and why; no answer depends on them. The model is the job's. */
  private static final Set<String> NO_EFFECT =
      Set.of("model", "user", "metadata", "store", "service_tier", "safety_identifier");

  /** Values that ask for what happens anyway; by these names any other value is refused. */
  private static final Map<String, Set<String>> NEUTRAL =
      Map.ofEntries(
          Map.entry("stream", Set.of("false")),
          Map.entry("echo", Set.of("false")),
          Map.entry("best_of", Set.of("1")),
          Map.entry("logit_bias", Set.of("{}")),
          Map.entry("tools", Set.of("[]")),
          Map.entry("suffix", Set.of("\"\"")),
          Map.entry("modalities", Set.of("[\"text\"]")),
          Map.entry("response_format", Set.of("{\"type\":\"text\"}")));

  private BatchRequest() {}

  /** What is wrong with a line that is a JSON object; null if it is a request. */
  static String problem(String line) {
    JsonNode root = parse(line);
    for (String name : List.of(CUSTOM_ID, METHOD, URL)) {
      if (!root.path(name).isTextual() || root.get(name).asText().isEmpty()) {
        return "not a batch request: " + name + " is missing or no text";
      }
    }
    if (!root.path(BODY).isObject()) {
      return "not a batch request: body is missing or no object";
    }
    for (Map.Entry<String, JsonNode> field : root.properties()) {
      if (!List.of(SCHEMA.fieldNames()).contains(field.getKey())) {
        return "not a batch request: it has a field '" + field.getKey() + "'";
      }
    }
    return null;
  }

  /** The columns of a line without a problem. */
  static String[] columns(String line) {
    JsonNode root = parse(line);
    return new String[] {
      root.get(CUSTOM_ID).asText(),
      root.get(METHOD).asText(),
      root.get(URL).asText(),
      root.get(BODY).toString()
    };
  }

  private static JsonNode parse(String json) {
    try {
      return JSON.readTree(json);
    } catch (JsonProcessingException e) {
      throw new BulkgenException(
          ErrorCode.REQUEST_INVALID, "not JSON: " + e.getOriginalMessage(), e);
    }
  }

  /**
   * @throws BulkgenException REQUEST_INVALID naming the field, PROMPT_EMPTY
   */
  static RowRequest read(String method, String url, String body) {
    if (!method.equals("POST")) {
      throw invalid("method: '%s' is not POST", method);
    }
    if (!url.equals(CHAT) && !url.equals(COMPLETIONS)) {
      throw invalid("url: '%s' is neither %s nor %s", url, CHAT, COMPLETIONS);
    }
    boolean chat = url.equals(CHAT);
    JsonNode root = parse(body);
    Map<String, JsonNode> sampling = new LinkedHashMap<>();
    for (Map.Entry<String, JsonNode> field : root.properties()) {
      String name = field.getKey();
      if (chat && LOGPROBS.contains(name)) {
        sampling.put(RowSampling.LOGPROBS, chatLogprobs(root));
      } else if (RowSampling.knows(name)) {
        sampling.put(name, field.getValue());
      } else if (!name.equals(chat ? "messages" : "prompt")) {
        requireNeutral(name, field.getValue());
      }
    }
    Prompt prompt = chat ? messages(root.path("messages")) : prompt(root.path("prompt"));
    return new RowRequest(prompt, RowSampling.read(sampling));
  }

  /** Of a chat one field says whether, the other how many; for us the number says both. */
  private static JsonNode chatLogprobs(JsonNode root) {
    JsonNode asked = root.path(RowSampling.LOGPROBS);
    JsonNode top = root.path(TOP_LOGPROBS);
    boolean isAbsent = asked.isMissingNode() || asked.isNull();
    if (!isAbsent && !asked.isBoolean()) {
      throw invalid("body.logprobs: %s is neither true nor false", shorten(asked));
    }
    boolean counts = !top.isMissingNode() && !top.isNull();
    if (counts && !(top.isInt() && top.asInt() >= 0 && top.asInt() <= MOST_TOP_LOGPROBS)) {
      throw invalid(
          "body.top_logprobs: %s is no whole number from 0 to %d", shorten(top), MOST_TOP_LOGPROBS);
    }
    if (asked.asBoolean()) {
      return IntNode.valueOf(top.asInt());
    }
    if (top.asInt() > 0) {
      throw invalid("body.top_logprobs: give \"logprobs\": true with it");
    }
    return isAbsent ? NullNode.instance : asked;
  }

  private static void requireNeutral(String name, JsonNode value) {
    boolean neutral =
        value.isNull()
            || NO_EFFECT.contains(name)
            || NEUTRAL.getOrDefault(name, Set.of()).contains(value.toString());
    if (!neutral) {
      throw invalid("body.%s: not supported (%s)", name, shorten(value));
    }
  }

  private static String shorten(JsonNode value) {
    String text = value.toString();
    return text.length() > 40 ? text.substring(0, 40) + "…" : text;
  }

  private static Prompt messages(JsonNode array) {
    if (!array.isArray()) {
      throw invalid("body.messages: missing or no array");
    }
    List<Message> messages = new ArrayList<>();
    for (JsonNode message : array) {
      messages.add(message(message, "body.messages[" + messages.size() + "]"));
    }
    if (messages.isEmpty()) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "body.messages: empty");
    }
    return new Prompt.Messages(messages);
  }

  private static Message message(JsonNode message, String where) {
    if (!message.isObject() || !message.path("role").isTextual()) {
      throw invalid("%s: no message with a role", where);
    }
    for (Map.Entry<String, JsonNode> field : message.properties()) {
      boolean known = field.getKey().equals("role") || field.getKey().equals("content");
      if (!known && !field.getValue().isNull()) {
        throw invalid("%s.%s: not supported", where, field.getKey());
      }
    }
    return new Message(message.get("role").asText(), content(message.path("content"), where));
  }

  /** Text, or parts of which all are text. */
  private static String content(JsonNode content, String where) {
    if (content.isTextual()) {
      return content.asText();
    }
    if (!content.isArray()) {
      throw invalid("%s.content: missing or no text", where);
    }
    StringBuilder text = new StringBuilder();
    for (JsonNode part : content) {
      if (!part.path("type").asText().equals("text") || !part.path("text").isTextual()) {
        throw invalid("%s.content: a part is not text (%s)", where, shorten(part));
      }
      text.append(part.get("text").asText());
    }
    return text.toString();
  }

  private static Prompt prompt(JsonNode prompt) {
    if (prompt.isTextual()) {
      if (prompt.asText().isEmpty()) {
        throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "body.prompt: empty");
      }
      return new Prompt.Text(prompt.asText());
    }
    if (!prompt.isArray() || prompt.isEmpty()) {
      throw invalid("body.prompt: missing, or neither text nor token ids");
    }
    if (prompt.size() == 1 && prompt.get(0).isTextual()) {
      return prompt(prompt.get(0));
    }
    int[] ids = new int[prompt.size()];
    for (int index = 0; index < ids.length; index++) {
      JsonNode id = prompt.get(index);
      if (!id.canConvertToInt() || !id.isIntegralNumber() || id.asInt() < 0) {
        throw invalid("body.prompt: one text or token ids, not %s", shorten(id));
      }
      ids[index] = id.asInt();
    }
    return new Prompt.Tokens(ids);
  }

  private static BulkgenException invalid(String message, Object... arguments) {
    return BulkgenException.of(ErrorCode.REQUEST_INVALID, message, arguments);
  }
}
