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
  private static final String PROMPT = "the prompt";

  /** What a text is to the tokenizer. */
  enum Form {
    /** A text that the model's first token goes before. */
    PLAIN,
    /** What a chat template wrote, with all special tokens. */
    RENDERED
  }

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
      ids = checked(tokens.ids(), PROMPT);
    } else {
      Form form = prompt instanceof Prompt.Messages ? Form.RENDERED : Form.PLAIN;
      ids = notEmpty(encode(text(prompt), form), PROMPT);
    }
    return ids.length < maxModelLen ? ids : cut(ids, params);
  }

  /** The text of a prompt that is text or messages. */
  String text(Prompt prompt) {
    requireTokenizer();
    if (prompt instanceof Prompt.Messages messages) {
      return render(messages);
    }
    String text = ((Prompt.Text) prompt).text();
    if (text == null || text.isEmpty()) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "the prompt is empty");
    }
    return text;
  }

  /** The token ids of a text, all of the model's vocabulary; may be none. */
  int[] encode(String text, Form form) {
    Tokenizer known = requireTokenizer();
    return inVocabulary(
        form == Form.PLAIN ? known.encodePrompt(text) : known.encodeRendered(text), "the text");
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

  /**
   * A copy of token ids, at least one, all of the model's vocabulary.
   *
   * @param what has them, for messages
   */
  int[] checked(int[] ids, String what) {
    return inVocabulary(notEmpty(ids, what), what).clone();
  }

  private static int[] notEmpty(int[] ids, String what) {
    if (ids == null || ids.length == 0) {
      throw BulkgenException.of(ErrorCode.PROMPT_EMPTY, "%s has no tokens", what);
    }
    return ids;
  }

  private int[] inVocabulary(int[] ids, String what) {
    for (int i = 0; i < ids.length; i++) {
      if (ids[i] < 0 || ids[i] >= vocabSize) {
        throw BulkgenException.of(
            ErrorCode.PROMPT_INVALID,
            "token %d of %s is %d; the model's ids are 0 to %d",
            i,
            what,
            ids[i],
            vocabSize - 1);
      }
    }
    return ids;
  }

  private int[] cut(int[] ids, SamplingParams params) {
    int room = Math.max(1, Math.min(params.maxTokens().orElse(maxModelLen), maxModelLen / 2));
    int kept = maxModelLen - room;
    return overflow == PromptOverflow.KEEP_START
        ? Arrays.copyOf(ids, kept)
        : keepEnd(ids, kept, "the prompt has");
  }

  /**
   * The last {@code kept} ids, but for a beginning-of-sequence token, which is never cut away.
   *
   * @param what begins the message where nothing may be cut, such as {@code the prompt has}
   * @throws BulkgenException PROMPT_TOO_LONG where the overflow setting is an error
   */
  int[] keepEnd(int[] ids, int kept, String what) {
    if (overflow == PromptOverflow.ERROR) {
      throw BulkgenException.of(
          ErrorCode.PROMPT_TOO_LONG,
          "%s %d tokens, max-model-len is %d; shorten it, or set prompt-overflow to keep-end or"
              + " keep-start",
          what,
          ids.length,
          maxModelLen);
    }
    int[] end = Arrays.copyOfRange(ids, ids.length - kept, ids.length);
    if (tokenizer != null && tokenizer.bosId().isPresent()) {
      int bos = tokenizer.bosId().getAsInt();
      end[0] = ids[0] == bos ? bos : end[0];
    }
    return end;
  }
}
