package dev.bulkgen.spark.config;

/** Where results go and which columns they have. */
public record OutputSettings(
    String path, String textColumn, TokenIdColumn tokenIds, Compression compression) {

  /** Of the Parquet pages. */
  public enum Compression {
    ZSTD,
    SNAPPY,
    GZIP,
    UNCOMPRESSED
  }

  /** Whether the result has a column {@code token_ids}. */
  public enum TokenIdColumn {
    WHEN_PROMPT_IS_IDS,
    ALWAYS
  }
}
