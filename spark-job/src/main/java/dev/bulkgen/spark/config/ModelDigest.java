package dev.bulkgen.spark.config;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * Tells one model from another without reading gigabytes: name, size, first and last mebibyte of
 * each file. The first mebibyte holds a safetensors header, so another layout always shows.
 */
public final class ModelDigest {
  private static final int PIECE = 1 << 20;

  private ModelDigest() {}

  /**
   * @throws BulkgenException MODEL_NOT_FOUND if the folder is missing or holds no config.json
   */
  public static String of(Path folder) {
    if (!Files.isRegularFile(folder.resolve("config.json"))) {
      throw BulkgenException.of(
          ErrorCode.MODEL_NOT_FOUND,
          Files.isDirectory(folder)
              ? "model folder %s has no config.json: name a folder in the Hugging Face layout"
              : "model folder %s is not there",
          folder);
    }
    Digest digest = Digest.sha256();
    try (Stream<Path> entries = Files.list(folder)) {
      List<Path> files = entries.filter(ModelDigest::counts).sorted().toList();
      for (Path file : files) {
        addFile(digest, file);
      }
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.MODEL_NOT_FOUND, "model folder " + folder + " cannot be read: " + e, e);
    }
    return digest.hex();
  }

  private static boolean counts(Path file) {
    String name = file.getFileName().toString();
    return Files.isRegularFile(file)
        && (name.endsWith(".json") || name.endsWith(".safetensors") || name.endsWith(".jinja"));
  }

  private static void addFile(Digest digest, Path file) throws IOException {
    try (RandomAccessFile reader = new RandomAccessFile(file.toFile(), "r")) {
      long size = reader.length();
      digest.add(file.getFileName().toString()).add(size);
      byte[] piece = new byte[(int) Math.min(PIECE, size)];
      reader.readFully(piece);
      digest.add(piece);
      if (size > PIECE) {
        reader.seek(size - PIECE);
        reader.readFully(piece);
        digest.add(piece);
      }
    }
  }
}
