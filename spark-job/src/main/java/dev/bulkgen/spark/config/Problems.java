package dev.bulkgen.spark.config;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Gathers what is wrong with the settings, so that all of it is told at once. */
public final class Problems {
  private final List<String> messages = new ArrayList<>();
  private ErrorCode code = ErrorCode.SETTING_UNKNOWN;

  public void unknown(String message) {
    messages.add(message);
  }

  public void invalid(String format, Object... arguments) {
    code = ErrorCode.SETTING_INVALID;
    messages.add(String.format(Locale.ROOT, format, arguments));
  }

  /**
   * @throws BulkgenException SETTING_UNKNOWN or SETTING_INVALID with one line a problem
   */
  public void throwIfAny() {
    if (messages.isEmpty()) {
      return;
    }
    if (messages.size() == 1) {
      throw new BulkgenException(code, messages.get(0));
    }
    String lines = String.join("\n  - ", messages);
    throw BulkgenException.of(code, "%d settings are wrong:%n  - %s", messages.size(), lines);
  }
}
