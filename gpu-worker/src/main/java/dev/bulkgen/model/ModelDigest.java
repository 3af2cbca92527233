package dev.bulkgen.model;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.MappedFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

/**
 * Identity of a model folder: SHA-256 over the small files that shape the output, and for each
 * weight file its name, size, header and {@value #SAMPLES} samples of {@value #SAMPLE_BYTES} bytes
 * at even distances, first and last included. Files are small enough to be sampled whole below
 * {@code SAMPLES · SAMPLE_BYTES}. Another training step or another precision changes practically
 * every weight, so samples tell models apart without reading gigabytes; they do not prove that no
 * single bit was changed. Where the folder lies does not matter.
 */
final class ModelDigest {
  static final int SAMPLES = 256;
  static final int SAMPLE_BYTES = 4096;

  private static final int HEADER_CHUNK = 1 << 16;

  private static final List<String> SMALL_FILES =
      List.of(
          ModelConfigReader.CONFIG_FILE,
          ModelConfigReader.GENERATION_FILE,
          "tokenizer.json",
          "tokenizer_config.json",
          "special_tokens_map.json",
          "chat_template.jinja",
          "chat_template.json");

  private final MessageDigest sha;

  private ModelDigest() {
    try {
      sha = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  /** 64 hexadecimal digits. */
  static String of(Path folder, Checkpoint checkpoint) {
    ModelDigest digest = new ModelDigest();
    for (String name : SMALL_FILES) {
      digest.addSmallFile(folder.resolve(name), name);
    }
    for (SafetensorsFile file : checkpoint.files()) {
      digest.addWeights(file);
    }
    return HexFormat.of().formatHex(digest.sha.digest());
  }

  private void addSmallFile(Path file, String name) {
    if (!Files.isRegularFile(file)) {
      return;
    }
    try {
      byte[] content = Files.readAllBytes(file);
      addName(name, content.length);
      sha.update(content);
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.STORAGE_FAILED, file + ": cannot be read (" + e + "); check its rights", e);
    }
  }

  private void addWeights(SafetensorsFile weights) {
    MappedFile file = weights.file();
    addName(file.path().getFileName().toString(), file.size());
    byte[] buffer = new byte[HEADER_CHUNK];
    long dataStart = weights.dataStart();
    for (long at = 0; at < dataStart; at += HEADER_CHUNK) {
      addRun(file, at, (int) Math.min(HEADER_CHUNK, dataStart - at), buffer);
    }
    long dataBytes = file.size() - dataStart;
    if (dataBytes <= (long) SAMPLES * SAMPLE_BYTES) {
      for (long at = dataStart; at < file.size(); at += HEADER_CHUNK) {
        addRun(file, at, (int) Math.min(HEADER_CHUNK, file.size() - at), buffer);
      }
      return;
    }
    long span = dataBytes - SAMPLE_BYTES;
    for (int i = 0; i < SAMPLES; i++) {
      addRun(file, dataStart + span / (SAMPLES - 1) * i, SAMPLE_BYTES, buffer);
    }
    addRun(file, file.size() - SAMPLE_BYTES, SAMPLE_BYTES, buffer);
  }

  private void addRun(MappedFile file, long offset, int count, byte[] buffer) {
    file.readBytes(offset, buffer, 0, count);
    sha.update(buffer, 0, count);
  }

  /** Name and length go before the content, so that no two folders give the same stream. */
  private void addName(String name, long bytes) {
    byte[] utf8 = name.getBytes(StandardCharsets.UTF_8);
    sha.update(ByteBuffer.allocate(Integer.BYTES).putInt(utf8.length).array());
    sha.update(utf8);
    sha.update(ByteBuffer.allocate(Long.BYTES).putLong(bytes).array());
  }
}
