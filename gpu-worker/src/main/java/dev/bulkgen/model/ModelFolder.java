package dev.bulkgen.model;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A model in a Hugging Face folder. Opening reads the two config files; weights are mapped and
 * checked when first asked for. Safe for use by several threads.
 */
public final class ModelFolder {
  private final Path path;
  private final ModelDescription description;
  private Checkpoint checkpoint;
  private ModelWeights weights;
  private String digest;

  private ModelFolder(Path path, ModelDescription description) {
    this.path = path;
    this.description = description;
  }

  /**
   * @throws BulkgenException MODEL_NOT_FOUND if the folder is missing, empty or no folder;
   *     MODEL_CORRUPT or MODEL_UNSUPPORTED for its config files
   */
  public static ModelFolder open(Path folder) {
    checkFolder(folder);
    return new ModelFolder(folder, ModelConfigReader.read(folder));
  }

  /**
   * The config of a model whose weights need not be there.
   *
   * @param path the folder, or its config.json
   */
  public static ModelConfig readConfig(Path path) {
    return describe(path).config();
  }

  /** As {@link #readConfig}, with the weights' form and the generation defaults. */
  public static ModelDescription describe(Path path) {
    if (Files.isRegularFile(path)) {
      return ModelConfigReader.read(path, path.resolveSibling(ModelConfigReader.GENERATION_FILE));
    }
    checkFolder(path);
    return ModelConfigReader.read(path);
  }

  public Path path() {
    return path;
  }

  public ModelConfig config() {
    return description.config();
  }

  public ModelDescription description() {
    return description;
  }

  public GenerationDefaults generationDefaults() {
    return description.generationDefaults();
  }

  /**
   * The weights, in place in the mapped files.
   *
   * @throws BulkgenException MODEL_NOT_FOUND or MODEL_CORRUPT, naming file and tensor
   */
  public synchronized ModelWeights weights() {
    if (weights == null) {
      weights = WeightLoader.load(checkpoint(), description);
    }
    return weights;
  }

  /** The weight files. */
  public synchronized Checkpoint checkpoint() {
    if (checkpoint == null) {
      checkpoint = Checkpoint.open(path);
    }
    return checkpoint;
  }

  /**
   * 64 hexadecimal digits that tell one model from another, wherever its folder lies: SHA-256 over
   * the config, tokenizer and template files, and over size, header and samples of each weight
   * file. Reads about a megabyte of each.
   */
  public synchronized String digest() {
    if (digest == null) {
      digest = ModelDigest.of(path, checkpoint());
    }
    return digest;
  }

  static void checkFolder(Path folder) {
    if (!Files.exists(folder)) {
      throw BulkgenException.of(
          ErrorCode.MODEL_NOT_FOUND, "%s: there is no such model folder; check the path", folder);
    }
    if (!Files.isDirectory(folder)) {
      throw BulkgenException.of(
          ErrorCode.MODEL_NOT_FOUND,
          "%s: is a file; name the folder that holds config.json and the weights",
          folder);
    }
    try (DirectoryStream<Path> content = Files.newDirectoryStream(folder)) {
      if (!content.iterator().hasNext()) {
        throw BulkgenException.of(
            ErrorCode.MODEL_NOT_FOUND,
            "%s: the folder is empty; download the model into it",
            folder);
      }
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.STORAGE_FAILED, folder + ": cannot be listed (" + e + "); check its rights", e);
    }
  }
}
