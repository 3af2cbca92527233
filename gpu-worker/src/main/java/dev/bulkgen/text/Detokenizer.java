package dev.bulkgen.text;

/**
 * Turns tokens into text as they come. What it returns is final and never ends within a character;
 * all parts together are the text of all tokens. The cost of a token is that of its own characters.
 *
 * <p>One sequence's state; not safe for several threads.
 *
 * <p>It differs from the Rust library in one point: where a run of byte-fallback tokens holds both
 * whole characters and stray bytes, only the stray bytes become U+FFFD here, and not the whole run,
 * because the characters were final before the stray byte came.
 */
public final class Detokenizer {
  /** Whether special tokens (end of text, roles, ...) show in the text. */
  public enum SpecialTokens {
    SKIP,
    KEEP
  }

  /** What comes before the first token. */
  enum Position {
    /** Nothing: a space that the tokenizer puts before every text is taken away. */
    START,
    /** A prompt: the first token keeps its space. */
    CONTINUATION
  }

  private final TokenDecoder decoder;
  private final SpecialTokens specialTokens;
  private final Utf8Stream bytes;
  private final StringBuilder out = new StringBuilder();
  private boolean first;
  private int toStrip;

  Detokenizer(TokenDecoder decoder, SpecialTokens specialTokens, Position position) {
    this.decoder = decoder;
    this.specialTokens = specialTokens;
    this.first = position == Position.START;
    this.toStrip = position == Position.START ? decoder.leadingCount() : 0;
    this.bytes =
        new Utf8Stream(
            decoder.form() == TokenDecoder.Form.BYTES
                ? Utf8Stream.Malformed.ONE_PER_PART
                : Utf8Stream.Malformed.ONE_PER_BYTE);
  }

  /** Takes the next token; the text that is final with it, often empty. Unknown ids give none. */
  public String push(int id) {
    boolean skipped = specialTokens == SpecialTokens.SKIP && decoder.isSpecial(id);
    if (skipped || !decoder.exists(id)) {
      return "";
    }
    switch (decoder.form()) {
      case BYTES -> {
        for (byte value : decoder.bytes(id)) {
          bytes.push(value & 0xff, out);
        }
      }
      case PIECES -> pushPiece(id);
      case WORDS -> out.append(first ? "" : " ").append(decoder.text(id, first));
    }
    first = false;
    return take();
  }

  private void pushPiece(int id) {
    int fallback = decoder.fallbackByte(id);
    if (fallback >= 0) {
      bytes.push(fallback, out);
    } else {
      bytes.finish(out);
      out.append(decoder.text(id, first));
    }
  }

  /** Ends the text; what was held back of an unfinished character comes as U+FFFD. */
  public String finish() {
    bytes.finish(out);
    return take();
  }

  private String take() {
    int from = 0;
    while (toStrip > 0 && from < out.length()) {
      if (out.charAt(from) != decoder.leadingCharacter()) {
        toStrip = 0;
        break;
      }
      toStrip--;
      from++;
    }
    String text = out.substring(from);
    out.setLength(0);
    return text;
  }
}
