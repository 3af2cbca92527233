package dev.bulkgen.spark.config;

/**
 * Where results go and how they are laid out.
 *
 * @param textColumn of generated texts
 * @param tokenIds of generated texts
 * @param tokenLogprobs of scored completions
 */
public record OutputSettings(
    String path,
    OutputFormat format,
    Compression compression,
    String textColumn,
    TokenIdColumn tokenIds,
    TokenLogprobColumns tokenLogprobs) {

  /** Of Parquet's pages or of Arrow's batches. */
  public enum Compression {
    ZSTD,
    SNAPPY,
    GZIP,
    LZ4,
    UNCOMPRESSED
  }

  /** Whether the result has a column {@code token_ids}. */
  public enum TokenIdColumn {
    WHEN_PROMPT_IS_IDS,
    ALWAYS
  }

  /** Whether the result has the columns {@code token_ids} and {@code token_logprobs}. */
  public enum TokenLogprobColumns {
    NEVER,
    ALWAYS
  }
}
