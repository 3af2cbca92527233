package dev.bulkgen.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.MappedTensor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The weights of a Hugging Face folder: {@code model.safetensors}, or the shards that {@code
 * model.safetensors.index.json} names. Everything is mapped and checked, nothing is read.
 */
public final class Checkpoint {
  static final String SINGLE_FILE = "model.safetensors";
  static final String INDEX_FILE = "model.safetensors.index.json";

  private static final long MAX_INDEX_BYTES = 100_000_000;
  private static final int MAX_NAMED = 10;

  // A plain name: the index must not lead out of the folder.
  private static final Pattern SHARD_NAME =
      Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]*\\.safetensors");

  private final Path folder;
  private final List<SafetensorsFile> files;
  private final Map<String, MappedTensor> tensors;

  private Checkpoint(Path folder, List<SafetensorsFile> files, Map<String, MappedTensor> tensors) {
    this.folder = folder;
    this.files = List.copyOf(files);
    this.tensors = Collections.unmodifiableMap(tensors);
  }

  /**
   * @throws BulkgenException MODEL_NOT_FOUND if weights or a shard are missing, MODEL_CORRUPT if a
   *     file is not sound or index and shards do not belong together
   */
  public static Checkpoint open(Path folder) {
    Path single = folder.resolve(SINGLE_FILE);
    Path index = folder.resolve(INDEX_FILE);
    if (Files.exists(single)) {
      SafetensorsFile file = SafetensorsFile.open(single);
      return new Checkpoint(folder, List.of(file), new TreeMap<>(file.tensors()));
    }
    if (Files.exists(index)) {
      return openSharded(folder, index);
    }
    throw BulkgenException.of(
        ErrorCode.MODEL_NOT_FOUND,
        "%s: neither %s nor %s is there%s",
        folder,
        SINGLE_FILE,
        INDEX_FILE,
        otherWeights(folder)
            .map(name -> "; " + name + " is in another format: convert it to safetensors")
            .orElse("; download the model's weights"));
  }

  public Path folder() {
    return folder;
  }

  /** The weight files, ordered by name. */
  public List<SafetensorsFile> files() {
    return files;
  }

  /** Names of all tensors, sorted. */
  public Set<String> names() {
    return tensors.keySet();
  }

  public Optional<MappedTensor> tensor(String name) {
    return Optional.ofNullable(tensors.get(name));
  }

  /** Bytes of all weight files. */
  public long fileBytes() {
    return files.stream().mapToLong(file -> file.file().size()).sum();
  }

  /** Elements of all tensors. */
  public long elementCount() {
    return tensors.values().stream().mapToLong(MappedTensor::elementCount).sum();
  }

  private static Checkpoint openSharded(Path folder, Path index) {
    Map<String, String> shardOf = readIndex(index);
    Map<String, SafetensorsFile> shards = new TreeMap<>();
    List<String> missing = new ArrayList<>();
    for (String shard : new TreeSet<>(shardOf.values())) {
      if (Files.isRegularFile(folder.resolve(shard))) {
        shards.put(shard, SafetensorsFile.open(folder.resolve(shard)));
      } else {
        missing.add(shard);
      }
    }
    if (!missing.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.MODEL_NOT_FOUND,
          "%s names shards that are not there: %s; download them",
          index,
          listed(missing));
    }
    Map<String, MappedTensor> tensors = new TreeMap<>();
    List<String> problems = new ArrayList<>();
    shardOf.forEach(
        (name, shard) ->
            shards
                .get(shard)
                .tensor(name)
                .ifPresentOrElse(
                    tensor -> tensors.put(name, tensor),
                    () -> problems.add(name + " is not in " + shard)));
    shards.forEach(
        (shard, file) ->
            file.tensors().keySet().stream()
                .filter(name -> !shard.equals(shardOf.get(name)))
                .forEach(name -> problems.add(name + " in " + shard + " is not in the index")));
    if (!problems.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.MODEL_CORRUPT,
          "%s and its shards do not belong together: %s; download all of them again",
          index,
          listed(problems));
    }
    return new Checkpoint(folder, List.copyOf(shards.values()), tensors);
  }

  /** Tensor name to shard file name. */
  private static Map<String, String> readIndex(Path index) {
    ObjectNode root = JsonFile.read(index, MAX_INDEX_BYTES);
    if (!(root.get("weight_map") instanceof ObjectNode map) || map.isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.MODEL_CORRUPT,
          "%s: weight_map is missing or empty; download the file again",
          index);
    }
    Map<String, String> shardOf = new TreeMap<>();
    for (Map.Entry<String, JsonNode> entry : map.properties()) {
      String shard = entry.getValue().isTextual() ? entry.getValue().textValue() : "";
      if (!SHARD_NAME.matcher(shard).matches()) {
        throw BulkgenException.of(
            ErrorCode.MODEL_CORRUPT,
            "%s: tensor %s should be in %s, which is no name of a .safetensors file in this"
                + " folder; download the index from a source you trust",
            index,
            entry.getKey(),
            entry.getValue());
      }
      shardOf.put(entry.getKey(), shard);
    }
    return shardOf;
  }

  private static Optional<String> otherWeights(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(name -> name.matches(".*\\.(bin|pt|pth|gguf|ggml|h5|msgpack|onnx)"))
          .sorted()
          .findFirst();
    } catch (IOException e) {
      return Optional.empty();
    }
  }

  /** The first few of many, and how many more there are. */
  static String listed(List<String> items) {
    int shown = Math.min(MAX_NAMED, items.size());
    String text = String.join(", ", items.subList(0, shown));
    return shown == items.size() ? text : text + " and " + (items.size() - shown) + " more";
  }
}
