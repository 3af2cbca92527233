package dev.bulkgen.config;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** Gathers what is wrong with the settings, so that all of it is told at once. */
public final class Mistakes {
  private final List<String> messages = new ArrayList<>();
  private ErrorCode code = ErrorCode.SETTING_UNKNOWN;

  /** A name that no setting has. */
  public void unknown(String message) {
    messages.add(message);
  }

  /** A value that does not do. */
  public void invalid(String message) {
    code = ErrorCode.SETTING_INVALID;
    messages.add(message);
  }

  public void invalid(String format, Object... arguments) {
    invalid(String.format(Locale.ROOT, format, arguments));
  }

  /**
   * @throws BulkgenException SETTING_UNKNOWN or SETTING_INVALID with one line a mistake
   */
  public void throwIfAny() {
    if (!messages.isEmpty()) {
      throw new BulkgenException(code, String.join("\n", messages));
    }
  }
}
