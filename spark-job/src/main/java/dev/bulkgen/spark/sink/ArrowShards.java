package dev.bulkgen.spark.sink;

import dev.bulkgen.spark.arrow.ArrowCompression;
import dev.bulkgen.spark.arrow.ArrowFooter;
import dev.bulkgen.spark.arrow.ArrowIpcFormat;
import dev.bulkgen.spark.arrow.ArrowLayout;
import dev.bulkgen.spark.arrow.ArrowRowWriter;
import dev.bulkgen.spark.config.OutputSettings.Compression;
import dev.bulkgen.spark.storage.Storage;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.hadoop.fs.Path;

/** Arrow IPC files; values and checksum stand in the footer. */
record ArrowShards(Compression compression) implements ShardFormat {

  @Override
  public String sparkFormat() {
    return ArrowIpcFormat.NAME;
  }

  @Override
  public String extension() {
    return ArrowLayout.FILE.extension();
  }

  @Override
  public OutcomeWriter open(
      ShardPlace place, ResultSchema schema, Supplier<Map<String, String>> values) {
    return new ResultRowWriter(
        schema,
        ArrowRowWriter.open(
            place.file(), schema.type(), ArrowCompression.valueOf(compression.name()), values));
  }

  @Override
  public Optional<Map<String, String>> values(Storage storage, Path shard) {
    return ArrowFooter.read(storage, shard);
  }

  @Override
  public boolean sound(Storage storage, Path shard) {
    return ArrowFooter.sound(storage, shard);
  }
}
