package dev.bulkgen.spark.config;

/** Where results go and which columns they have. */
public record OutputSettings(
    String path, String textColumn, TokenIdColumn tokenIds, String compression) {

  /** Whether the result has a column {@code token_ids}. */
  public enum TokenIdColumn {
    WHEN_PROMPT_IS_IDS,
    ALWAYS
  }
}
