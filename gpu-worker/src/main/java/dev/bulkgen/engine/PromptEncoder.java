package dev.bulkgen.engine;

import dev.bulkgen.config.PromptOverflow;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.text.ChatTemplate;
import dev.bulkgen.text.Tokenizer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDateTime;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Turns prompts into token ids that fit the model. Needs the tokenizer alone, no weights, so a
 * planner can count tokens with it. Safe for use by several threads.
 */
public final class PromptEncoder {
  private final Path folder;
  private final LocalDateTime now;
  private final Tokenizer tokenizer;
  private final int vocabSize;
  private final int maxModelLen;
  private final PromptOverflow overflow;
  private ChatTemplate template;

  private PromptEncoder(
      Path folder,
      LocalDateTime now,
      Tokenizer tokenizer,
      int vocabSize,
      int maxModelLen,
      PromptOverflow overflow) {
    this.folder = folder;
    this.now = now;
    this.tokenizer = tokenizer;
    this.vocabSize = vocabSize;
    this.maxModelLen = maxModelLen;
    this.overflow = overflow;
  }

  /**
   * Loads the tokenizer of {@code folder} if it has one; without one, only token ids can be
   * prompts. The chat template is read when the first messages come.
   *
   * @param now what a template may print as today
   * @throws BulkgenException TOKENIZER_INVALID if tokenizer.json is there but not sound
   */
  public static PromptEncoder open(
      Path folder, int vocabSize, int maxModelLen, PromptOverflow overflow, LocalDateTime now) {
    Tokenizer tokenizer =
        Files.exists(folder.resolve("tokenizer.json")) ? Tokenizer.load(folder) : null;
    return new PromptEncoder(folder, now, tokenizer, vocabSize, maxModelLen, overflow);
  }

  /** The model's token ids are 0 to one less. */
  int vocabSize() {
    return vocabSize;
  }

  public Optional<Tokenizer> tokenizer() {
    return Optional.ofNullable(tokenizer);
  }

  /**
   * The token ids of a prompt, cut where it is too long and the overflow setting says so: then room
   * is left for {@code max-tokens}, or half the model's length if that is less or none is set; a
   * beginning-of-sequence token is never cut away.
   *
   * @throws BulkgenException of kind DATA: PROMPT_EMPTY, PROMPT_INVALID, PROMPT_TOO_LONG or
   *     TEMPLATE_FAILED; of kind USER: TOKENIZER_INVALID or CHAT_TEMPLATE_INVALID where the model
   *     has none for such prompts
   */
  public int[] encode(Prompt prompt, SamplingParams params) {
    int[] ids;
    if (prompt instanceof Prompt.Tokens tokens) {
      ids = checked(tokens.ids());
    } else if (prompt instanceof Prompt.Messages messages) {
      ids = checked(requireTokenizer().encodeRendered(render(messages)));
    } else {
      ids = checked(encodeText(((Prompt.Text) prompt).text()));
    }
    return ids.length < maxModelLen ? ids : cut(ids, params);
  }

  private int[] encodeText(String text) {
    if (text == null || text.isEmpty()) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "the prompt is empty");
    }
    return requireTokenizer().encodePrompt(text);
  }

  private String render(Prompt.Messages prompt) {
    if (prompt.messages().isEmpty()) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "the list of messages is empty");
    }
    List<Map<String, String>> messages =
        prompt.messages().stream().map(PromptEncoder::toMap).toList();
    return template().at(prompt.today().orElse(now)).renderPrompt(messages);
  }

  private static Map<String, String> toMap(Prompt.Message message) {
    if (message == null) {
      throw BulkgenException.of(ErrorCode.PROMPT_INVALID, "a message is null");
    }
    if (message.role() == null || message.content() == null) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_INVALID,
          "a message has no %s",
          message.role() == null ? "role" : "content");
    }
    Map<String, String> map = new LinkedHashMap<>();
    map.put("role", message.role());
    map.put("content", message.content());
    return map;
  }

  private synchronized ChatTemplate template() {
    if (template == null) {
      template = ChatTemplate.load(folder, now);
    }
    return template;
  }

  private Tokenizer requireTokenizer() {
    if (tokenizer == null) {
      throw BulkgenException.of(
          ErrorCode.TOKENIZER_INVALID,
          "%s: there is no tokenizer.json; add it, or give prompts as token ids",
          folder);
    }
    return tokenizer;
  }

  private int[] checked(int[] ids) {
    if (ids == null || ids.length == 0) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "the prompt has no tokens");
    }
    for (int i = 0; i < ids.length; i++) {
      if (ids[i] < 0 || ids[i] >= vocabSize) {
        throw BulkgenException.of(
            ErrorCode.PROMPT_INVALID,
            "token %d of the prompt is %d; the model's ids are 0 to %d",
            i,
            ids[i],
            vocabSize - 1);
      }
    }
    return ids.clone();
  }

  private int[] cut(int[] ids, SamplingParams params) {
    if (overflow == PromptOverflow.ERROR) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_TOO_LONG,
          "the prompt has %d tokens, max-model-len is %d; shorten it, or set prompt-overflow to"
              + " keep-end or keep-start",
          ids.length,
          maxModelLen);
    }
    int room = Math.max(1, Math.min(params.maxTokens().orElse(maxModelLen), maxModelLen / 2));
    int kept = maxModelLen - room;
    if (overflow == PromptOverflow.KEEP_START) {
      return Arrays.copyOf(ids, kept);
    }
    int[] end = Arrays.copyOfRange(ids, ids.length - kept, ids.length);
    if (tokenizer != null && tokenizer.bosId().isPresent()) {
      int bos = tokenizer.bosId().getAsInt();
      end[0] = ids[0] == bos ? bos : end[0];
    }
    return end;
  }
}
