package dev.bulkgen.spark.sink;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.config.JobSettings;
import dev.bulkgen.spark.config.OutputSettings;
import dev.bulkgen.spark.storage.Storage;
import java.io.Serializable;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.hadoop.fs.Path;

/**
 * How a unit's results lie in files. Whatever the format, a shard has one name, appears whole or
 * not at all, is the same to the byte on a second attempt, and carries the values that say what it
 * is and a checksum over every byte.
 */
public sealed interface ShardFormat extends Serializable
    permits ParquetShards, ArrowShards, JsonShards, OpenAiShards {

  static ShardFormat of(JobSettings settings) {
    OutputSettings output = settings.output();
    return switch (output.format()) {
      case PARQUET -> new ParquetShards(output.compression());
      case ARROW -> new ArrowShards(output.compression());
      case JSONL -> new JsonShards();
      case OPENAI_BATCH -> OpenAiShards.of(settings);
    };
  }

  /** What Spark reads the shards by: {@code spark.read().format(…)}. */
  String sparkFormat();

  /** Of the shard's name, with its dot. */
  String extension();

  /**
   * Every file that a shard of this name may consist of, below the output folder. The shard's own
   * comes last when it is written and first when it is deleted: it is there, or there is no shard.
   */
  default List<String> files(String shard) {
    return List.of(shard);
  }

  /**
   * @param values asked once, after the last row: to be kept with the shard
   * @throws BulkgenException STORAGE_FAILED
   */
  OutcomeWriter open(ShardPlace place, ResultSchema schema, Supplier<Map<String, String>> values);

  /**
   * What a shard says of itself; cheap, and no proof that the rest is sound.
   *
   * @return empty where it is cut off, is something else or cannot be read
   */
  Optional<Map<String, String>> values(Storage storage, Path shard);

  /** Whether every byte is what was written. Reads the shard from end to end. */
  boolean sound(Storage storage, Path shard);
}
