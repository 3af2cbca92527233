package dev.bulkgen.spark.plugin;

import dev.bulkgen.config.EngineSettings;
import dev.bulkgen.config.Setting;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.Catalogue;
import dev.bulkgen.spark.config.Digest;
import dev.bulkgen.spark.config.ExecutionSettings;
import dev.bulkgen.spark.config.LocalMaster;
import java.io.Serializable;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Which engine executors are to have: resolved once, on the driver, so that all have the same.
 *
 * @param values the engine's settings, as {@link Setting#spell} writes them
 * @param modelCache folder of each node for models from elsewhere; null: the usual one
 * @param modelDigest of the driver's copy
 * @param build of the driver's jar
 */
public record EngineSpec(
    TreeMap<String, String> values, String modelCache, String modelDigest, String build)
    implements Serializable {
  private static final String SETTING = "setting.";

  /**
   * @param values settings of a job by name, those of the engine among them
   * @param master of Spark: in this process, an engine has the threads that tasks would have
   */
  public static EngineSpec of(Map<String, String> values, String master, String modelDigest) {
    TreeMap<String, String> kept = new TreeMap<>();
    for (Setting<?> setting : EngineSettings.ALL) {
      String value = values.get(setting.name());
      if (value != null) {
        kept.put(setting.name(), value);
      }
    }
    if (LocalMaster.matches(master)) {
      kept.putIfAbsent(
          EngineSettings.THREADS.name(),
          Setting.spell(Math.min(LocalMaster.threads(master), 1024)));
    }
    return new EngineSpec(
        kept, values.get(ExecutionSettings.MODEL_CACHE.name()), modelDigest, thisBuild());
  }

  /** Tells jars apart: their version and their kernels. */
  private static String thisBuild() {
    String version = EngineSpec.class.getPackage().getImplementationVersion();
    return (version == null ? "development" : version) + ", kernels " + Catalogue.load().hash();
  }

  /** Engines are shared by what they were opened with. */
  public String key() {
    Digest digest = Digest.sha256().add(modelDigest);
    values.forEach((name, value) -> digest.add(name).add(value));
    return digest.hex();
  }

  String model() {
    return values.get(EngineSettings.MODEL.name());
  }

  Optional<String> cacheFolder() {
    return Optional.ofNullable(modelCache);
  }

  /**
   * @throws BulkgenException NODE_DIFFERS if this process runs another jar than the driver
   */
  void requireSameBuild() {
    if (!build.equals(thisBuild())) {
      throw BulkgenException.of(
          ErrorCode.NODE_DIFFERS,
          "this executor runs bulkgen %s, the driver %s: give all nodes the same jar",
          thisBuild(),
          build);
    }
  }

  /**
   * @throws BulkgenException NODE_DIFFERS if this node has another model than the driver
   */
  void requireSameModel(String digest) {
    if (!modelDigest.equals(digest)) {
      throw BulkgenException.of(
          ErrorCode.NODE_DIFFERS,
          "the model in %s on this node is not the driver's (%.12s, there %.12s): copy the same"
              + " files to every node",
          model(),
          digest,
          modelDigest);
    }
  }

  /** For Spark's plugins, which hand over texts. */
  Map<String, String> toMap() {
    TreeMap<String, String> map = new TreeMap<>();
    values.forEach((name, value) -> map.put(SETTING + name, value));
    map.put("model-digest", modelDigest);
    map.put("build", build);
    cacheFolder().ifPresent(folder -> map.put("model-cache", folder));
    return map;
  }

  /** Empty where the driver named no engine. */
  static Optional<EngineSpec> fromMap(Map<String, String> map) {
    if (!map.containsKey("model-digest")) {
      return Optional.empty();
    }
    TreeMap<String, String> values = new TreeMap<>();
    map.forEach(
        (name, value) -> {
          if (name.startsWith(SETTING)) {
            values.put(name.substring(SETTING.length()), value);
          }
        });
    return Optional.of(
        new EngineSpec(values, map.get("model-cache"), map.get("model-digest"), map.get("build")));
  }
}
