package dev.bulkgen.error;

/**
 * Every error a user can see, by a stable name that also stands in the {@code error.code} column.
 */
public enum ErrorCode {
  SETTING_INVALID(ErrorKind.USER),
  SETTING_UNKNOWN(ErrorKind.USER),
  MODEL_NOT_FOUND(ErrorKind.USER),
  MODEL_CORRUPT(ErrorKind.USER),
  MODEL_UNSUPPORTED(ErrorKind.USER),
  TOKENIZER_INVALID(ErrorKind.USER),
  CHAT_TEMPLATE_INVALID(ErrorKind.USER),
  INPUT_NOT_FOUND(ErrorKind.USER),
  INPUT_INVALID(ErrorKind.USER),
  COLUMN_NOT_FOUND(ErrorKind.USER),
  OUTPUT_NOT_EMPTY(ErrorKind.USER),
  OUTPUT_NOT_WRITABLE(ErrorKind.USER),
  OUTPUT_LOCKED(ErrorKind.USER),
  SETTINGS_CHANGED(ErrorKind.USER),
  NODE_DIFFERS(ErrorKind.USER),

  ROW_MALFORMED(ErrorKind.DATA),
  PROMPT_EMPTY(ErrorKind.DATA),
  PROMPT_TOO_LONG(ErrorKind.DATA),
  PROMPT_INVALID(ErrorKind.DATA),
  REQUEST_INVALID(ErrorKind.DATA),
  TEMPLATE_FAILED(ErrorKind.DATA),
  NUMERIC_FAILURE(ErrorKind.DATA),

  MEMORY_PLAN_REFUSED(ErrorKind.RESOURCE),
  DEVICE_OUT_OF_MEMORY(ErrorKind.RESOURCE),
  DISK_FULL(ErrorKind.RESOURCE),
  QUEUE_CLOSED(ErrorKind.RESOURCE),

  STORAGE_FAILED(ErrorKind.EXTERNAL),

  TOO_MANY_ROW_ERRORS(ErrorKind.USER),
  ROWS_MISSING(ErrorKind.INTERNAL),
  INTERNAL(ErrorKind.INTERNAL),

  DEVICE_UNAVAILABLE(ErrorKind.USER),
  DEVICE_LOST(ErrorKind.DEVICE_FATAL);

  private final ErrorKind kind;

  ErrorCode(ErrorKind kind) {
    this.kind = kind;
  }

  public ErrorKind kind() {
    return kind;
  }
}
