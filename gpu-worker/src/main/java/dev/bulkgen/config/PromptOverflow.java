package dev.bulkgen.config;

/** {@code --prompt-overflow}: what to do with a prompt that leaves no room for a token. */
public enum PromptOverflow {
  /** The row gets an error. */
  ERROR,
  /** Cut tokens from the start, keep the end. */
  KEEP_END,
  /** Cut tokens from the end, keep the start. */
  KEEP_START
}
