package dev.bulkgen.spark.config;

/** {@code --input-format}; AUTO goes by the files' extensions. */
public enum InputFormat {
  AUTO,
  JSONL,
  PARQUET,
  ARROW,
  CSV,
  TEXT,
  OPENAI_BATCH
}
