package dev.bulkgen.spark.sink;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.spark.storage.FileChecksum;
import dev.bulkgen.spark.storage.StagedFile;
import dev.bulkgen.spark.storage.Storage;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.hadoop.fs.Path;

/**
 * What a shard says of itself where its format has no place for it: a small JSON file beside the
 * plan. It is written before the shard's own file, names every file of the shard with its checksum,
 * and ends in a checksum of its own text: a shard without it, or with another's, is none.
 *
 * @param files digits of each file's SHA-256, by its name below the output folder
 */
record Sidecar(SortedMap<String, String> values, SortedMap<String, String> files) {
  private static final String FOLDER = "_bulkgen/shards/";
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  static String name(String shard) {
    return FOLDER + shard + ".json";
  }

  /**
   * Gives the sidecar its name; what an unsound shard left there is replaced.
   *
   * @return the digits of its checksum, which covers those of the files
   * @throws BulkgenException STORAGE_FAILED
   */
  static String commit(ShardPlace place, Map<String, String> values, Map<String, String> files) {
    Sidecar sidecar = new Sidecar(new TreeMap<>(values), new TreeMap<>(files));
    String digits = FileChecksum.of(sidecar.text(FileChecksum.PLACEHOLDER));
    String text = sidecar.text(digits);
    Path path = new Path(place.folder(), name(place.name()));
    if (place.storage().exists(path)) {
      if (place.storage().readText(path).equals(text)) {
        return digits;
      }
      place.storage().delete(path);
    }
    StagedFile staged = place.file(name(place.name()));
    try (OutputStream out = staged.create()) {
      out.write(text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      staged.discard();
      throw staged.failure(e);
    }
    staged.commit();
    return digits;
  }

  /** Empty where it is not there or is not what was written. */
  static Optional<Sidecar> read(Storage storage, Path shard) {
    try {
      Path path = new Path(shard.getParent(), name(shard.getName()));
      if (!storage.exists(path)) {
        return Optional.empty();
      }
      String text = storage.readText(path);
      Map<String, TreeMap<String, String>> parts =
          JSON.readValue(text, new TypeReference<Map<String, TreeMap<String, String>>>() {});
      Sidecar sidecar = new Sidecar(parts.get("values"), parts.get("files"));
      String digits = sidecar.values().remove(FileChecksum.KEY);
      boolean sound =
          FileChecksum.of(sidecar.text(FileChecksum.PLACEHOLDER)).equals(digits)
              && sidecar.text(digits).equals(text);
      sidecar.values().put(FileChecksum.KEY, digits);
      return sound ? Optional.of(sidecar) : Optional.empty();
    } catch (JsonProcessingException | RuntimeException e) {
      return Optional.empty();
    }
  }

  /** Whether every file is what it names. */
  boolean sound(Storage storage, Path folder) {
    return files.entrySet().stream()
        .allMatch(
            file ->
                FileChecksum.of(storage, new Path(folder, file.getKey())).equals(file.getValue()));
  }

  private String text(String digits) {
    SortedMap<String, String> all = new TreeMap<>(values);
    all.put(FileChecksum.KEY, digits);
    try {
      return JSON.writeValueAsString(new TreeMap<>(Map.of("files", files, "values", all))) + "\n";
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("maps of text are always JSON", e);
    }
  }
}
