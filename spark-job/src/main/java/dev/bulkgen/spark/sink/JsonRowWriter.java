package dev.bulkgen.spark.sink;

import dev.bulkgen.spark.source.RowJson;
import dev.bulkgen.spark.storage.RowWriter;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.spark.sql.catalyst.InternalRow;
import org.apache.spark.sql.catalyst.json.JSONOptions;
import org.apache.spark.sql.catalyst.json.JacksonGenerator;
import org.apache.spark.sql.types.StructType;
import scala.collection.immutable.Map$;
import scala.jdk.javaapi.CollectionConverters;

/** Rows as Spark writes JSON, with nulls spelled out: every line has every column. */
final class JsonRowWriter implements RowWriter {
  private final ShardPlace place;
  private final Supplier<Map<String, String>> values;
  private final LineFile file;
  private final JacksonGenerator json;

  JsonRowWriter(ShardPlace place, StructType schema, Supplier<Map<String, String>> values) {
    this.place = place;
    this.values = values;
    this.file = new LineFile(place.file());
    this.json =
        new JacksonGenerator(
            schema,
            file.text(),
            new JSONOptions(
                Map$.MODULE$.from(CollectionConverters.asScala(RowJson.OPTIONS)), "UTC", ""));
  }

  @Override
  public void write(InternalRow row) {
    json.write(row);
    json.writeLineEnding();
  }

  @Override
  public String commit() {
    json.flush();
    String digits = file.end();
    String checksum = Sidecar.commit(place, values.get(), Map.of(place.name(), digits));
    file.commit();
    return checksum;
  }

  @Override
  public void close() {
    file.close();
  }
}
