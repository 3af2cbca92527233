package dev.bulkgen.text.jinja;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.Locale;

/** Builds the error for a template that cannot be parsed. */
final class TemplateSyntax {
  private TemplateSyntax() {}

  static BulkgenException error(String template, int line, String format, Object... arguments) {
    return BulkgenException.of(
        ErrorCode.CHAT_TEMPLATE_INVALID,
        "Chat template %s, line %d: %s. Correct the template, or give plain prompts, which need"
            + " none.",
        template,
        line,
        String.format(Locale.ROOT, format, arguments));
  }
}
