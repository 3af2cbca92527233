package dev.bulkgen.spark.cli;

import dev.bulkgen.error.ErrorCode;

/** What a finished process tells its caller. */
public enum ExitCode {
  DONE(0),
  /** A wrong command line, or an error of any other kind. */
  ERROR(1),
  TOO_MANY_FAILED_ROWS(2),
  SETTINGS_DIFFER(3),
  ENGINE_NOT_LOADED(4);

  private final int status;

  ExitCode(int status) {
    this.status = status;
  }

  public int status() {
    return status;
  }

  static ExitCode of(ErrorCode code) {
    return switch (code) {
      case TOO_MANY_ROW_ERRORS -> TOO_MANY_FAILED_ROWS;
      case SETTINGS_CHANGED -> SETTINGS_DIFFER;
      case MODEL_NOT_FOUND,
          MODEL_CORRUPT,
          MODEL_UNSUPPORTED,
          TOKENIZER_INVALID,
          CHAT_TEMPLATE_INVALID,
          NODE_DIFFERS,
          DISK_FULL,
          MEMORY_PLAN_REFUSED,
          DEVICE_OUT_OF_MEMORY,
          DEVICE_UNAVAILABLE ->
          ENGINE_NOT_LOADED;
      default -> ERROR;
    };
  }
}
