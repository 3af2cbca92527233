package dev.bulkgen.spark.sink;

import dev.bulkgen.text.Tokenizer;
import java.util.HexFormat;
import java.util.Optional;
import org.apache.spark.unsafe.types.UTF8String;

/**
 * How tokens are spelled beside their ids.
 *
 * @param tokenizer empty for a model without one
 */
public record TokenTexts(Optional<Tokenizer> tokenizer) {
  private static final HexFormat ESCAPES = HexFormat.of().withPrefix("\\x");

  /** Empty for an id that no token has, and for a model without tokenizer. */
  Optional<byte[]> bytes(int token) {
    return tokenizer.flatMap(known -> known.bytes(token));
  }

  /** A token's bytes as text: {@code \xe2\x80} where they end within a character. */
  static UTF8String text(byte[] bytes) {
    UTF8String text = UTF8String.fromBytes(bytes);
    return text.isValid() ? text : UTF8String.fromString(ESCAPES.formatHex(bytes));
  }
}
