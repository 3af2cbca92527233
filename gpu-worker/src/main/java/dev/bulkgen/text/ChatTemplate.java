package dev.bulkgen.text;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.text.jinja.JinjaTemplate;
import dev.bulkgen.text.jinja.Limits;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A model's chat template: turns messages into the text the model was trained on. It sees what the
 * Hugging Face transformers library passes: {@code messages}, {@code add_generation_prompt}, the
 * special tokens by role, and {@code tools} and {@code documents} as none.
 *
 * <p>Immutable and safe to share between threads.
 */
public final class ChatTemplate {
  private static final String FILE = "chat_template.jinja";
  private static final long MAX_FILE_BYTES = 4L << 20;

  private final JinjaTemplate template;
  private final Map<String, String> specialTokens;
  private final LocalDateTime now;

  private ChatTemplate(
      JinjaTemplate template, Map<String, String> specialTokens, LocalDateTime now) {
    this.template = template;
    this.specialTokens = specialTokens;
    this.now = now;
  }

  /** Whether the model folder has a chat template. */
  public static boolean exists(Path modelFolder) {
    return Files.isRegularFile(modelFolder.resolve(FILE))
        || TokenizerConfig.read(modelFolder).chatTemplates().containsKey("default");
  }

  /**
   * Reads the template of a model folder: chat_template.jinja, else the {@code chat_template} of
   * tokenizer_config.json, the one named {@code default} where there are several.
   *
   * @param now the time that the template may print; the job's start, so that a resumed job renders
   *     the same text
   * @throws BulkgenException CHAT_TEMPLATE_INVALID where there is none or it cannot be parsed
   */
  public static ChatTemplate load(Path modelFolder, LocalDateTime now) {
    TokenizerConfig config = TokenizerConfig.read(modelFolder);
    Path file = modelFolder.resolve(FILE);
    String source = Files.isRegularFile(file) ? read(file) : config.chatTemplates().get("default");
    if (source == null) {
      String others =
          config.chatTemplates().isEmpty()
              ? ""
              : ", only ones named " + String.join(", ", config.chatTemplates().keySet());
      throw BulkgenException.of(
          ErrorCode.CHAT_TEMPLATE_INVALID,
          "The model in %s has no chat template%s, but messages are given. Use a column of plain"
              + " prompts, or put a %s into the folder.",
          modelFolder,
          others,
          FILE);
    }
    String name = Files.isRegularFile(file) ? file.toString() : modelFolder.toString();
    return new ChatTemplate(JinjaTemplate.parse(name, source), config.specialTokens(), now);
  }

  /** The same template on another day. */
  public ChatTemplate at(LocalDateTime day) {
    return new ChatTemplate(template, specialTokens, day);
  }

  private static String read(Path file) {
    try {
      if (Files.size(file) > MAX_FILE_BYTES) {
        throw new IOException("it is larger than " + MAX_FILE_BYTES + " bytes");
      }
      return Files.readString(file);
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.CHAT_TEMPLATE_INVALID,
          file + " cannot be read: " + e.getMessage() + ". Copy the model's own file again.",
          e);
    }
  }

  /**
   * Renders messages and the beginning of the assistant's answer. Encode the text with {@link
   * Tokenizer#encodeRendered}.
   *
   * @param messages maps with {@code role} and {@code content}, as parsed from JSON; other fields
   *     reach the template too
   * @throws BulkgenException PROMPT_EMPTY without messages; TEMPLATE_FAILED (a row error) with the
   *     template's own words where it refuses them
   */
  public String renderPrompt(List<? extends Map<String, ?>> messages) {
    return render(messages, Map.of("add_generation_prompt", true));
  }

  /** Renders messages alone: a finished conversation. */
  public String renderConversation(List<? extends Map<String, ?>> messages) {
    return render(messages, Map.of("add_generation_prompt", false));
  }

  /** Renders with further variables, such as {@code enable_thinking}, which win over the usual. */
  public String render(List<? extends Map<String, ?>> messages, Map<String, ?> more) {
    if (messages.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_EMPTY, "The row has no messages; give at least one, or filter it out.");
    }
    Map<String, Object> variables = new HashMap<>(specialTokens);
    variables.put("tools", null);
    variables.put("documents", null);
    variables.put("messages", messages);
    variables.putAll(more);
    return template.render(variables, now, Limits.DEFAULT);
  }
}
