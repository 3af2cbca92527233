package dev.bulkgen.text;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * How the tokens of a model become text, compiled from the {@code decoder} of its tokenizer.json so
 * that text can be taken token by token. The forms are those of the Rust tokenizers library.
 */
final class TokenDecoder {
  /** What joins the tokens. */
  enum Form {
    /** Characters stand for bytes; all bytes together are UTF-8 (ByteLevel). */
    BYTES,
    /** Pieces of text follow one another; tokens such as {@code <0x0A>} may stand for a byte. */
    PIECES,
    /** Words with a space between them: no decoder at all. */
    WORDS
  }

  private record Replacement(String from, String to) {}

  private static final byte[] BYTE_OF_CHARACTER = new byte[0x144];
  private static final boolean[] IS_BYTE_CHARACTER = new boolean[0x144];

  static {
    int next = 0x100;
    for (int value = 0; value < 256; value++) {
      boolean printable =
          (value >= '!' && value <= '~')
              || (value >= 0xa1 && value <= 0xac)
              || (value >= 0xae && value <= 0xff);
      int character = printable ? value : next++;
      BYTE_OF_CHARACTER[character] = (byte) value;
      IS_BYTE_CHARACTER[character] = true;
    }
  }

  private final TokenizerFile file;
  private Form form = Form.PIECES;
  private final List<Replacement> replacements = new ArrayList<>();
  private boolean byteFallback;
  private boolean fused;
  private char leadingCharacter;
  private int leadingCount;
  private String droppedFromFirst = "";

  private TokenDecoder(TokenizerFile file) {
    this.file = file;
  }

  /**
   * Compiles the decoder.
   *
   * @throws dev.bulkgen.error.BulkgenException TOKENIZER_INVALID naming a decoder that is not
   *     supported
   */
  static TokenDecoder of(TokenizerFile file) {
    TokenDecoder decoder = new TokenDecoder(file);
    JsonNode definition = file.decoder();
    if (definition.isMissingNode() || definition.isNull()) {
      decoder.form = Form.WORDS;
    } else if (definition.path("type").asText().equals("ByteLevel")) {
      decoder.form = Form.BYTES;
    } else if (definition.path("type").asText().equals("Sequence")) {
      List<JsonNode> steps = new ArrayList<>();
      definition.path("decoders").forEach(steps::add);
      if (steps.size() == 1 && steps.get(0).path("type").asText().equals("ByteLevel")) {
        decoder.form = Form.BYTES;
      } else {
        steps.forEach(decoder::add);
      }
    } else {
      decoder.add(definition);
    }
    return decoder;
  }

  private void add(JsonNode step) {
    String type = step.path("type").asText();
    switch (type) {
      case "Replace" -> {
        JsonNode from = step.path("pattern").path("String");
        if (!from.isTextual() || from.textValue().isEmpty()) {
          throw unsupported("Replace without a string pattern");
        }
        replacements.add(new Replacement(from.textValue(), step.path("content").asText()));
      }
      case "ByteFallback" -> byteFallback = true;
      case "Fuse" -> fused = true;
      case "Strip" -> {
        String content = step.path("content").asText();
        int start = step.path("start").asInt();
        if (!fused || step.path("stop").asInt() != 0 || content.length() != 1 || start < 0) {
          throw unsupported("Strip other than at the start of the whole text");
        }
        leadingCharacter = content.charAt(0);
        leadingCount = start;
      }
      case "Metaspace" -> {
        String replacement = step.path("replacement").asText("▁");
        boolean prefixed = step.path("add_prefix_space").asBoolean(true);
        String scheme = step.path("prepend_scheme").asText(prefixed ? "always" : "never");
        droppedFromFirst = scheme.equals("never") ? "" : replacement;
        replacements.add(new Replacement(replacement, " "));
      }
      default -> throw unsupported(type);
    }
  }

  private RuntimeException unsupported(String decoder) {
    return file.invalid(
        "its decoder '"
            + decoder
            + "' is not supported (ByteLevel, Metaspace, and Replace, ByteFallback, Fuse, Strip in"
            + " that order are)");
  }

  Form form() {
    return form;
  }

  /** The character that is stripped from the start of a text, {@link #leadingCount} times. */
  char leadingCharacter() {
    return leadingCharacter;
  }

  int leadingCount() {
    return leadingCount;
  }

  boolean isSpecial(int id) {
    return file.isSpecial(id);
  }

  /** Whether the id names a token at all. */
  boolean exists(int id) {
    return file.token(id) != null;
  }

  /** The byte a byte-fallback token stands for, 0 to 255, or -1 for every other token. */
  int fallbackByte(int id) {
    String token = file.token(id);
    if (!byteFallback || token.length() != 6 || !token.startsWith("<0x") || !token.endsWith(">")) {
      return -1;
    }
    int high = Character.digit(token.charAt(3), 16);
    int low = Character.digit(token.charAt(4), 16);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
  }

  /** The bytes of a token in the form BYTES; one with a foreign character is taken as it is. */
  byte[] bytes(int id) {
    String token = file.token(id);
    byte[] bytes = new byte[token.length()];
    for (int i = 0; i < bytes.length; i++) {
      char c = token.charAt(i);
      if (c >= IS_BYTE_CHARACTER.length || !IS_BYTE_CHARACTER[c]) {
        return token.getBytes(StandardCharsets.UTF_8);
      }
      bytes[i] = BYTE_OF_CHARACTER[c];
    }
    return bytes;
  }

  /** The bytes a token adds to a text that has begun; those of its name for a special one. */
  byte[] addedBytes(int id) {
    if (isSpecial(id)) {
      return file.token(id).getBytes(StandardCharsets.UTF_8);
    }
    if (form == Form.BYTES) {
      return bytes(id);
    }
    int fallback = fallbackByte(id);
    return fallback >= 0
        ? new byte[] {(byte) fallback}
        : ((form == Form.WORDS ? " " : "") + text(id, false)).getBytes(StandardCharsets.UTF_8);
  }

  /**
   * The text of a token in the forms PIECES and WORDS.
   *
   * @param first whether it is the first token of a text
   */
  String text(int id, boolean first) {
    String text = file.token(id);
    if (first && !droppedFromFirst.isEmpty()) {
      text = text.replace(droppedFromFirst, "");
    }
    for (Replacement replacement : replacements) {
      text = text.replace(replacement.from(), replacement.to());
    }
    return text;
  }
}
