package dev.bulkgen.text;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * A model's tokenizer: {@code tokenizer.json} run by the Rust tokenizers library, without
 * truncation and padding. Token ids are below {@link #vocabSize}.
 *
 * <p>Safe to share between threads.
 */
public final class Tokenizer {
  private static final Cleaner CLEANER = Cleaner.create();

  private final long handle;
  private final TokenizerFile file;
  private final TokenDecoder decoder;
  private final Map<String, Integer> specialIdByRole = new HashMap<>();
  private final int[] promptPrefix;

  private Tokenizer(long handle, TokenizerFile file, TokenizerConfig config) {
    this.handle = handle;
    this.file = file;
    this.decoder = TokenDecoder.of(file);
    Map<String, Integer> ids = new HashMap<>();
    for (int id = 0; id < file.vocabSize(); id++) {
      if (file.token(id) != null && config.specialTokens().containsValue(file.token(id))) {
        ids.put(file.token(id), id);
      }
    }
    config
        .specialTokens()
        .forEach(
            (role, token) -> {
              if (ids.containsKey(token)) {
                specialIdByRole.put(role, ids.get(token));
              }
            });
    this.promptPrefix = promptPrefix(config.bos());
  }

  /**
   * Loads the tokenizer of a model folder: tokenizer.json, and tokenizer_config.json or
   * special_tokens_map.json where they are there.
   *
   * @throws BulkgenException TOKENIZER_INVALID where tokenizer.json is missing or not sound
   */
  public static Tokenizer load(Path modelFolder) {
    Path path = modelFolder.resolve("tokenizer.json");
    TokenizerFile file = TokenizerFile.read(path);
    TokenizerConfig config = TokenizerConfig.read(modelFolder);
    NativeTokenizers.load();
    TokenizersLibrary library = TokenizersLibrary.LIB;
    long handle;
    try {
      handle = library.createTokenizerFromString(Files.readString(path));
      library.disableTruncation(handle);
      library.disablePadding(handle);
    } catch (IOException | RuntimeException e) {
      throw new BulkgenException(
          ErrorCode.TOKENIZER_INVALID,
          file.invalid(String.valueOf(e.getMessage())).getMessage(),
          e);
    }
    long owned = handle;
    Tokenizer tokenizer;
    try {
      tokenizer = new Tokenizer(handle, file, config);
    } catch (BulkgenException e) {
      library.deleteTokenizer(owned);
      throw e.code() == ErrorCode.PROMPT_INVALID ? file.invalid(e.getMessage()) : e;
    }
    CLEANER.register(tokenizer, () -> library.deleteTokenizer(owned));
    return tokenizer;
  }

  /** Encodes text without adding anything; special tokens written in it are recognised. */
  public int[] encode(String text) {
    return encode(text, false);
  }

  /**
   * Encodes a plain prompt with the tokens that the model expects before it, usually the one for
   * the beginning of a sequence; a prompt that begins with that token as text gets no second one.
   */
  public int[] encodePrompt(String text) {
    int[] ids = encode(text, false);
    boolean there =
        ids.length >= promptPrefix.length
            && Arrays.equals(promptPrefix, Arrays.copyOf(ids, promptPrefix.length));
    if (there) {
      return ids;
    }
    int[] prompt = Arrays.copyOf(promptPrefix, promptPrefix.length + ids.length);
    System.arraycopy(ids, 0, prompt, promptPrefix.length, ids.length);
    return prompt;
  }

  /**
   * Encodes what a {@link ChatTemplate} rendered: special tokens in the text are recognised and
   * nothing is added, because the template writes all of them itself.
   */
  public int[] encodeRendered(String chatText) {
    return encode(chatText, false);
  }

  private int[] encode(String text, boolean addSpecialTokens) {
    TokenizersLibrary library = TokenizersLibrary.LIB;
    try {
      long encoding = library.encode(handle, withoutLoneSurrogates(text), addSpecialTokens);
      try {
        long[] ids = library.getTokenIds(encoding);
        return Arrays.stream(ids).mapToInt(Math::toIntExact).toArray();
      } finally {
        library.deleteEncoding(encoding);
      }
    } catch (RuntimeException e) {
      throw new BulkgenException(
          ErrorCode.PROMPT_INVALID,
          "The tokenizer cannot encode this text: " + e.getMessage() + ". Correct the row.",
          e);
    } finally {
      Reference.reachabilityFence(this);
    }
  }

  /** Half a surrogate pair is no character and has no UTF-8; it becomes U+FFFD. */
  private static String withoutLoneSurrogates(String text) {
    StringBuilder repaired = null;
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (!Character.isSurrogate(c)) {
        continue;
      }
      boolean pair =
          Character.isHighSurrogate(c)
              && i + 1 < text.length()
              && Character.isLowSurrogate(text.charAt(i + 1));
      if (pair) {
        i++;
      } else {
        repaired = repaired == null ? new StringBuilder(text) : repaired;
        repaired.setCharAt(i, '\ufffd');
      }
    }
    return repaired == null ? text : repaired.toString();
  }

  /** What the post-processor puts before a text, corrected by what add_bos_token says. */
  private int[] promptPrefix(TokenizerConfig.BosRule rule) {
    int[] plain = encode("a", false);
    int[] full = encode("a", true);
    int length = 0;
    while (length + plain.length < full.length
        && !Arrays.equals(plain, Arrays.copyOfRange(full, length, length + plain.length))) {
      length++;
    }
    int[] prefix = Arrays.copyOf(full, length);
    OptionalInt bos = bosId();
    boolean begins = bos.isPresent() && length > 0 && prefix[0] == bos.getAsInt();
    if (rule == TokenizerConfig.BosRule.ADD && bos.isPresent() && !begins) {
      int[] longer = new int[length + 1];
      longer[0] = bos.getAsInt();
      System.arraycopy(prefix, 0, longer, 1, length);
      return longer;
    }
    if (rule == TokenizerConfig.BosRule.OMIT && begins) {
      return Arrays.copyOfRange(prefix, 1, length);
    }
    return prefix;
  }

  /** The text of tokens that begin a text, without special tokens. */
  public String decode(int... ids) {
    return decode(Detokenizer.SpecialTokens.SKIP, ids);
  }

  /** The text of tokens that begin a text; ids without a token give none. */
  public String decode(Detokenizer.SpecialTokens specialTokens, int... ids) {
    Detokenizer detokenizer = new Detokenizer(decoder, specialTokens, Detokenizer.Position.START);
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(detokenizer.push(id));
    }
    return text.append(detokenizer.finish()).toString();
  }

  /** Text token by token as {@link #decode} gives it: a leading space of the first token goes. */
  public Detokenizer detokenizer() {
    return new Detokenizer(decoder, Detokenizer.SpecialTokens.SKIP, Detokenizer.Position.START);
  }

  /**
   * Text token by token for what follows a prompt: a space before the first token stays, so that
   * prompt and text can be joined.
   */
  public Detokenizer continuation() {
    return new Detokenizer(
        decoder, Detokenizer.SpecialTokens.SKIP, Detokenizer.Position.CONTINUATION);
  }

  /**
   * The bytes that a token adds to a text that has begun, in UTF-8 together with its neighbours';
   * of a special token, its name. Empty for an id without a token.
   */
  public Optional<byte[]> bytes(int id) {
    return decoder.exists(id) ? Optional.of(decoder.addedBytes(id)) : Optional.empty();
  }

  /** The token that begins a sequence, where the model names one. */
  public OptionalInt bosId() {
    return specialId("bos_token");
  }

  /** The id of the special token in a role such as {@code eos_token} or {@code pad_token}. */
  public OptionalInt specialId(String role) {
    Integer id = specialIdByRole.get(role);
    return id == null ? OptionalInt.empty() : OptionalInt.of(id);
  }

  /**
   * The tokens that end a completion.
   *
   * @param configured the ids that generation_config.json and config.json name
   * @return those and the tokenizer's own {@code eos_token}; nothing is guessed from token names
   */
  public SortedSet<Integer> eosIds(Collection<Integer> configured) {
    SortedSet<Integer> ids = new TreeSet<>(configured);
    specialId("eos_token").ifPresent(ids::add);
    return ids;
  }

  /** Whether the token is one of the special ones, which {@link #decode} leaves out. */
  public boolean isSpecial(int id) {
    return file.isSpecial(id);
  }

  /** Ids of all special tokens, ascending. */
  public int[] specialIds() {
    return file.specialIds();
  }

  /** The highest token id and one; the model's own vocabulary may be padded beyond it. */
  public int vocabSize() {
    return file.vocabSize();
  }

  /** The id of a token by its string, as tokenizer.json writes it. */
  public OptionalInt idOf(String token) {
    for (int id = 0; id < file.vocabSize(); id++) {
      if (token.equals(file.token(id))) {
        return OptionalInt.of(id);
      }
    }
    return OptionalInt.empty();
  }

  /** What the Rust library itself decodes; tests compare with it. */
  String decodeByLibrary(int[] ids, boolean skipSpecialTokens) {
    long[] wide = Arrays.stream(ids).asLongStream().toArray();
    try {
      return TokenizersLibrary.LIB.decode(handle, wide, skipSpecialTokens);
    } finally {
      Reference.reachabilityFence(this);
    }
  }
}
