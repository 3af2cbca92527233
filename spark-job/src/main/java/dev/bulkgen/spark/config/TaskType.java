package dev.bulkgen.spark.config;

import dev.bulkgen.config.Setting;

/** What a job does with each row. */
public enum TaskType {
  /** It has the model write a completion. */
  GENERATE("generated tokens"),
  /** It asks the log-likelihood of completions that are there. */
  SCORE("scored tokens");

  private final String tokens;

  TaskType(String tokens) {
    this.tokens = tokens;
  }

  /** As the command and the procedure are called. */
  public String spelling() {
    return Setting.spelling(this);
  }

  /** What the tokens of completions are called in reports. */
  public String tokens() {
    return tokens;
  }
}
