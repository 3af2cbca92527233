package dev.bulkgen.engine;

/** Why a completion ended, by OpenAI's names in lower case. */
public enum FinishReason {
  STOP,
  LENGTH,
  ERROR
}
