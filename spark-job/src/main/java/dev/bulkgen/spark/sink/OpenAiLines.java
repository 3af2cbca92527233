package dev.bulkgen.spark.sink;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.engine.Completion;
import dev.bulkgen.spark.config.Digest;
import dev.bulkgen.spark.source.BatchRequest;
import java.util.List;
import java.util.Locale;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.types.StructType;

/**
 * Lines of OpenAI's batch output. Names in them follow from the settings and the row's key, and the
 * time of creation is 0: a second attempt writes the same bytes (P1).
 */
final class OpenAiLines {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** What a key begins with where the row has an id. */
  private static final String ID = "id:";

  /** Where a row names no model: a folder's name is not among what fixes a row. */
  private static final String MODEL = "bulkgen";

  private static final int ID_LETTERS = 32;
  private static final int FINGERPRINT_LETTERS = 10;

  private final OpenAiShards format;
  private final ShardIdentity identity;
  private final StructType columns;

  OpenAiLines(OpenAiShards format, ShardIdentity identity, ResultSchema schema) {
    this.format = format;
    this.identity = identity;
    this.columns = schema.type();
  }

  String response(RowOutcome.Generated row) {
    ObjectNode line = line(row);
    ObjectNode response = line.putObject("response");
    response.put("status_code", 200);
    response.put("request_id", id("req_", row.key()));
    response.set("body", body(row));
    line.putNull("error");
    return line.toString();
  }

  String error(RowOutcome.Failed row) {
    ObjectNode line = line(row);
    line.putNull("response");
    ObjectNode error = line.putObject("error");
    error.put("code", row.code());
    error.put("message", row.message());
    return line.toString();
  }

  private ObjectNode line(RowOutcome row) {
    ObjectNode line = JSON.createObjectNode();
    line.put("id", id("batch_req_", row.key()));
    line.put("custom_id", customId(row));
    return line;
  }

  /** The row's id; what cannot be read has none and goes by its key. */
  private String customId(RowOutcome row) {
    String key = row.key();
    return format.named() && key.startsWith(ID)
        ? key.substring(ID.length(), key.lastIndexOf('#'))
        : key;
  }

  private String id(String prefix, String key) {
    String hex = Digest.sha256().add(identity.settingsDigest()).add(key).hex();
    return prefix + hex.substring(0, ID_LETTERS);
  }

  private ObjectNode body(RowOutcome.Generated row) {
    boolean chat =
        format.requests()
            ? text(row.input(), BatchRequest.URL).equals(BatchRequest.CHAT)
            : format.chat();
    ObjectNode body = JSON.createObjectNode();
    body.put("id", id(chat ? "chatcmpl-" : "cmpl-", row.key()));
    body.put("object", chat ? "chat.completion" : "text_completion");
    body.put("created", 0);
    body.put("model", model(row.input()));
    for (Completion completion : row.completions()) {
      body.withArray("choices").add(choice(completion, chat, row.tokens()));
    }
    body.set("usage", usage(row.completions()));
    body.put(
        "system_fingerprint", "fp_" + identity.settingsDigest().substring(0, FINGERPRINT_LETTERS));
    return body;
  }

  private static ObjectNode choice(Completion completion, boolean chat, TokenTexts tokens) {
    ObjectNode choice = JSON.createObjectNode();
    choice.put("index", completion.sampleIndex());
    if (chat) {
      ObjectNode message = choice.putObject("message");
      message.put("role", "assistant");
      message.put("content", completion.text());
      message.putNull("refusal");
    } else {
      choice.put("text", completion.text());
    }
    if (completion.logProbs().isEmpty()) {
      choice.putNull("logprobs");
    } else {
      OpenAiLogprobs logprobs = new OpenAiLogprobs(tokens);
      choice.set("logprobs", chat ? logprobs.ofChat(completion) : logprobs.ofText(completion));
    }
    choice.put("finish_reason", completion.finishReason().name().toLowerCase(Locale.ROOT));
    return choice;
  }

  /** The prompt counts once, however many samples it has. */
  private static ObjectNode usage(List<Completion> completions) {
    int prompt = completions.get(0).usage().promptTokens();
    int generated =
        completions.stream().mapToInt(sample -> sample.usage().completionTokens()).sum();
    ObjectNode usage = JSON.createObjectNode();
    usage.put("prompt_tokens", prompt);
    usage.put("completion_tokens", generated);
    usage.put("total_tokens", prompt + generated);
    usage
        .putObject("prompt_tokens_details")
        .put("cached_tokens", completions.get(0).usage().cachedTokens());
    return usage;
  }

  private String model(InternalRow input) {
    if (!format.requests()) {
      return MODEL;
    }
    try {
      JsonNode named = JSON.readTree(text(input, BatchRequest.BODY)).path("model");
      return named.isTextual() ? named.asText() : MODEL;
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("the body was read before", e);
    }
  }

  private String text(InternalRow input, String column) {
    return input.getUTF8String(columns.fieldIndex(column)).toString();
  }
}
