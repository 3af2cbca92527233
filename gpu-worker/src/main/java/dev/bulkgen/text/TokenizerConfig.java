package dev.bulkgen.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * The facts of tokenizer_config.json, with special_tokens_map.json for special tokens it does not
 * name. Both files may be missing.
 *
 * @param specialTokens strings by role: {@code bos_token}, {@code eos_token}, {@code unk_token} ...
 * @param bos what {@code add_bos_token} says
 * @param chatTemplates by name; the one of a file that has only one is {@code default}
 */
record TokenizerConfig(
    Map<String, String> specialTokens, BosRule bos, Map<String, String> chatTemplates) {

  /** Whether a prompt begins with the beginning-of-sequence token. */
  enum BosRule {
    ADD,
    OMIT,
    /** The file is silent: as the post-processor of tokenizer.json does. */
    AS_POST_PROCESSOR
  }

  private static final long MAX_FILE_BYTES = 64L << 20;
  private static final String[] ROLES = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"
  };

  /**
   * Reads the files of a model folder.
   *
   * @throws BulkgenException TOKENIZER_INVALID where one is there but malformed
   */
  static TokenizerConfig read(Path folder) {
    JsonNode config = json(folder.resolve("tokenizer_config.json"));
    JsonNode fallback = json(folder.resolve("special_tokens_map.json"));
    Map<String, String> specialTokens = new LinkedHashMap<>();
    for (String role : ROLES) {
      content(config.path(role))
          .or(() -> content(fallback.path(role)))
          .ifPresent(token -> specialTokens.put(role, token));
    }
    JsonNode addBos = config.path("add_bos_token");
    BosRule bos = BosRule.AS_POST_PROCESSOR;
    if (addBos.isBoolean()) {
      bos = addBos.booleanValue() ? BosRule.ADD : BosRule.OMIT;
    }
    return new TokenizerConfig(specialTokens, bos, chatTemplates(config.path("chat_template")));
  }

  private static Map<String, String> chatTemplates(JsonNode node) {
    Map<String, String> templates = new LinkedHashMap<>();
    if (node.isTextual()) {
      templates.put("default", node.textValue());
    }
    if (node.isArray()) {
      for (JsonNode entry : node) {
        templates.put(entry.path("name").asText(), entry.path("template").asText());
      }
    }
    return templates;
  }

  private static Optional<String> content(JsonNode token) {
    JsonNode text = token.isObject() ? token.path("content") : token;
    return text.isTextual() ? Optional.of(text.textValue()) : Optional.empty();
  }

  private static JsonNode json(Path file) {
    if (!Files.isRegularFile(file)) {
      return MissingNode.getInstance();
    }
    try {
      if (Files.size(file) > MAX_FILE_BYTES) {
        throw new IOException("it is larger than " + MAX_FILE_BYTES + " bytes");
      }
      return new ObjectMapper().readTree(file.toFile());
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.TOKENIZER_INVALID,
          file + " cannot be read: " + e.getMessage() + ". Copy the model's own file again.",
          e);
    }
  }
}
