package dev.bulkgen.model;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.MappedFile;
import dev.bulkgen.tensor.MappedTensor;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * A safetensors file, mapped, with every length of its header checked against the file before use:
 * eight bytes with the header's length, the header in JSON, then the tensors' bytes.
 */
public final class SafetensorsFile {
  /** The limit of the format's reference reader, in bytes. */
  static final long MAX_HEADER_BYTES = 100_000_000;

  private final MappedFile file;
  private final int headerBytes;
  private final Map<String, MappedTensor> tensors;
  private final Map<String, String> metadata;

  private SafetensorsFile(MappedFile file, int headerBytes, SafetensorsHeader parsed) {
    this.file = file;
    this.headerBytes = headerBytes;
    this.metadata = parsed.metadata();
    Map<String, MappedTensor> byName = new LinkedHashMap<>();
    for (SafetensorsHeader.Entry entry : parsed.entries()) {
      byName.put(
          entry.name(),
          new MappedTensor(
              file, entry.name(), entry.dtype(), entry.shape(), dataStart() + entry.begin()));
    }
    this.tensors = Collections.unmodifiableMap(byName);
  }

  /**
   * Maps and checks a file; the tensors' bytes are not read.
   *
   * @throws BulkgenException MODEL_NOT_FOUND, MODEL_CORRUPT, or MODEL_UNSUPPORTED for an element
   *     type unknown here; the message names tensor and byte offsets
   */
  public static SafetensorsFile open(Path path) {
    if (!Files.isRegularFile(path)) {
      throw BulkgenException.of(
          ErrorCode.MODEL_NOT_FOUND, "%s: there is no such file; download it", path);
    }
    MappedFile file = MappedFile.open(path);
    if (file.size() < Long.BYTES) {
      throw BulkgenException.of(
          ErrorCode.MODEL_CORRUPT,
          "%s: %d bytes are too few for a safetensors file; download it again",
          path,
          file.size());
    }
    // Compared unsigned: the length is a 64-bit unsigned number, and nothing is allocated for it
    // before it is known to fit the file.
    long length = file.readLong(0);
    if (length < 0 || length > file.size() - Long.BYTES) {
      throw BulkgenException.of(
          ErrorCode.MODEL_CORRUPT,
          "%s: the header claims %s bytes (bytes 0 to 7), the file has %d after them: it is"
              + " truncated or no safetensors file; download it again",
          path,
          Long.toUnsignedString(length),
          file.size() - Long.BYTES);
    }
    if (length > MAX_HEADER_BYTES) {
      throw BulkgenException.of(
          ErrorCode.MODEL_CORRUPT,
          "%s: the header claims %d bytes (bytes 0 to 7), more than the format's limit of %d;"
              + " download the file again",
          path,
          length,
          MAX_HEADER_BYTES);
    }
    byte[] header = new byte[(int) length];
    file.readBytes(Long.BYTES, header, 0, header.length);
    long dataBytes = file.size() - Long.BYTES - length;
    return new SafetensorsFile(
        file, header.length, SafetensorsHeader.parse(path, header, dataBytes));
  }

  public Path path() {
    return file.path();
  }

  /** The mapped bytes. */
  public MappedFile file() {
    return file;
  }

  /** Tensors by name, in the order of their bytes. */
  public Map<String, MappedTensor> tensors() {
    return tensors;
  }

  public Optional<MappedTensor> tensor(String name) {
    return Optional.ofNullable(tensors.get(name));
  }

  /** The {@code __metadata__} entry; empty if there is none. */
  public Map<String, String> metadata() {
    return metadata;
  }

  /** Offset of the first tensor's first byte. */
  long dataStart() {
    return Long.BYTES + (long) headerBytes;
  }
}
