package dev.bulkgen.model;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

/**
 * Identity of a model folder: SHA-256 over the small files that shape the output, and for each
 * weight file its name, size, header and {@value #SAMPLES} samples of {@value #SAMPLE_BYTES} bytes
 * at even distances, first and last included; a file no larger than its samples goes in whole.
 * Another training step or another precision changes practically every weight, so samples tell
 * models apart without reading gigabytes; they do not prove that no single bit was changed. Where
 * the folder lies does not matter.
 */
final class ModelDigest {
  static final int SAMPLES = 256;
  static final int SAMPLE_BYTES = 4096;

  private static final int READ_AT_ONCE = 1 << 16;

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
  private final ByteBuffer buffer = ByteBuffer.allocateDirect(READ_AT_ONCE);

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
    Path path = weights.path();
    long size = weights.file().size();
    long dataStart = weights.dataStart();
    addName(path.getFileName().toString(), size);
    // Read, not mapped: a fault in a mapping makes the kernel fetch megabytes around it.
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      if (size - dataStart <= (long) SAMPLES * SAMPLE_BYTES) {
        addRun(channel, 0, size);
        return;
      }
      addRun(channel, 0, dataStart);
      long span = size - dataStart - SAMPLE_BYTES;
      for (int i = 0; i < SAMPLES - 1; i++) {
        addRun(channel, dataStart + span / (SAMPLES - 1) * i, SAMPLE_BYTES);
      }
      addRun(channel, size - SAMPLE_BYTES, SAMPLE_BYTES);
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.STORAGE_FAILED, path + ": cannot be read (" + e + "); check its rights", e);
    }
  }

  private void addRun(FileChannel channel, long offset, long count) throws IOException {
    long end = offset + count;
    while (offset < end) {
      buffer.clear().limit((int) Math.min(buffer.capacity(), end - offset));
      int read = channel.read(buffer, offset);
      if (read < 0) {
        throw new EOFException("it ends at byte " + offset + " and was longer before");
      }
      sha.update(buffer.flip());
      offset += read;
    }
  }

  /** Name and length go before the content, so that no two folders give the same stream. */
  private void addName(String name, long bytes) {
    byte[] utf8 = name.getBytes(StandardCharsets.UTF_8);
    sha.update(ByteBuffer.allocate(Integer.BYTES).putInt(utf8.length).array());
    sha.update(utf8);
    sha.update(ByteBuffer.allocate(Long.BYTES).putLong(bytes).array());
  }
}
