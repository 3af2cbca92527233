package dev.bulkgen.spark.sink;

import dev.bulkgen.spark.storage.Storage;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.apache.hadoop.fs.Path;

/** JSON lines, one row a line; values and checksum stand in a {@link Sidecar}. */
record JsonShards() implements ShardFormat {

  @Override
  public String sparkFormat() {
    return "json";
  }

  @Override
  public String extension() {
    return ".jsonl";
  }

  @Override
  public List<String> files(String shard) {
    return List.of(Sidecar.name(shard), shard);
  }

  @Override
  public OutcomeWriter open(
      ShardPlace place, ResultSchema schema, Supplier<Map<String, String>> values) {
    return new ResultRowWriter(schema, new JsonRowWriter(place, schema.type(), values));
  }

  @Override
  public Optional<Map<String, String>> values(Storage storage, Path shard) {
    return Sidecar.read(storage, shard).map(Sidecar::values);
  }

  @Override
  public boolean sound(Storage storage, Path shard) {
    return Sidecar.read(storage, shard)
        .map(sidecar -> sidecar.sound(storage, shard.getParent()))
        .orElse(false);
  }
}
