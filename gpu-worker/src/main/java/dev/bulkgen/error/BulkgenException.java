package dev.bulkgen.error;

import java.util.Locale;

/**
 * The one exception type of the project. The message says what is wrong, where (file, offset,
 * tensor, row, setting), and what to do about it.
 */
public final class BulkgenException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final ErrorCode code;

  public BulkgenException(ErrorCode code, String message) {
    this(code, message, null);
  }

  public BulkgenException(ErrorCode code, String message, Throwable cause) {
    super(message, cause);
    this.code = code;
  }

  /** Formats with {@link Locale#ROOT}, so that a message is the same on every machine. */
  public static BulkgenException of(ErrorCode code, String format, Object... arguments) {
    return new BulkgenException(code, String.format(Locale.ROOT, format, arguments));
  }

  public ErrorCode code() {
    return code;
  }

  public ErrorKind kind() {
    return code.kind();
  }
}
