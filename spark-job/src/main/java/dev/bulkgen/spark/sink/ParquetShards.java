package dev.bulkgen.spark.sink;

import dev.bulkgen.spark.config.OutputSettings.Compression;
import dev.bulkgen.spark.storage.ParquetFooter;
import dev.bulkgen.spark.storage.ParquetRowWriter;
import dev.bulkgen.spark.storage.Storage;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.hadoop.fs.Path;

/** Parquet; values and checksum stand in the footer. */
record ParquetShards(Compression compression) implements ShardFormat {

  @Override
  public String sparkFormat() {
    return "parquet";
  }

  @Override
  public String extension() {
    return ".parquet";
  }

  @Override
  public OutcomeWriter open(
      ShardPlace place, ResultSchema schema, Supplier<Map<String, String>> values) {
    return new ResultRowWriter(
        schema,
        ParquetRowWriter.open(
            place.file(),
            place.storage().configuration(),
            schema.type(),
            compression == Compression.LZ4 ? "LZ4_RAW" : compression.name(),
            values));
  }

  @Override
  public Optional<Map<String, String>> values(Storage storage, Path shard) {
    return ParquetFooter.read(storage, shard);
  }

  @Override
  public boolean sound(Storage storage, Path shard) {
    return ParquetFooter.sound(storage, shard);
  }
}
