package dev.bulkgen.spark.config;

import dev.bulkgen.spark.config.OutputSettings.Compression;
import java.util.List;

/** {@code --output-format}. */
public enum OutputFormat {
  PARQUET(
      Compression.ZSTD,
      Compression.SNAPPY,
      Compression.GZIP,
      Compression.LZ4,
      Compression.UNCOMPRESSED),
  ARROW(Compression.UNCOMPRESSED, Compression.ZSTD, Compression.LZ4),
  JSONL(Compression.UNCOMPRESSED),
  OPENAI_BATCH(Compression.UNCOMPRESSED);

  private final List<Compression> compressions;

  OutputFormat(Compression... compressions) {
    this.compressions = List.of(compressions);
  }

  /** What it takes, its default first. */
  public List<Compression> compressions() {
    return compressions;
  }
}
