package dev.bulkgen.spark.sink;

import dev.bulkgen.spark.storage.FileChecksum;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Supplier;
import org.apache.hadoop.fs.Path;

/** Writes the two files of OpenAI's batch output; the one of the errors only if there are any. */
final class OpenAiWriter implements OutcomeWriter {
  private final ShardPlace place;
  private final OpenAiLines lines;
  private final Supplier<Map<String, String>> values;
  private final LineFile results;
  private Optional<LineFile> errors = Optional.empty();

  OpenAiWriter(ShardPlace place, OpenAiLines lines, Supplier<Map<String, String>> values) {
    this.place = place;
    this.lines = lines;
    this.values = values;
    this.results = new LineFile(place.file());
  }

  @Override
  public void write(RowOutcome outcome) {
    if (outcome instanceof RowOutcome.Failed failed) {
      if (errors.isEmpty()) {
        errors = Optional.of(new LineFile(place.file(OpenAiShards.errors(place.name()))));
      }
      errors.get().line(lines.error(failed));
    } else {
      results.line(lines.response((RowOutcome.Generated) outcome));
    }
  }

  /** In this order: what the sidecar names may be missing, and then the shard is not there yet. */
  @Override
  public String commit() {
    Map<String, String> files = new TreeMap<>();
    files.put(place.name(), results.end());
    errors.ifPresent(file -> files.put(OpenAiShards.errors(place.name()), file.end()));
    String checksum = Sidecar.commit(place, values.get(), files);
    errors.ifPresent(
        file -> {
          removeOther(OpenAiShards.errors(place.name()), files);
          file.commit();
        });
    results.commit();
    return checksum;
  }

  /** An unsound shard may have left one that no attempt would write. */
  private void removeOther(String name, Map<String, String> files) {
    Path path = new Path(place.folder(), name);
    if (place.storage().exists(path)
        && !FileChecksum.of(place.storage(), path).equals(files.get(name))) {
      place.storage().delete(path);
    }
  }

  @Override
  public void close() {
    results.close();
    errors.ifPresent(LineFile::close);
  }
}
