package dev.bulkgen.model;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.io.CharConversionException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads a JSON object from a file of bounded size and depth; a key may stand once. */
final class JsonFile {
  private static final int MAX_DEPTH = 32;

  private static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                  .streamReadConstraints(
                      StreamReadConstraints.builder().maxNestingDepth(MAX_DEPTH).build())
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private JsonFile() {}

  /**
   * @throws BulkgenException MODEL_NOT_FOUND if the file is not there, MODEL_CORRUPT if it is too
   *     large or no JSON object
   */
  static ObjectNode read(Path file, long maxBytes) {
    if (!Files.isRegularFile(file)) {
      throw BulkgenException.of(
          ErrorCode.MODEL_NOT_FOUND, "%s: there is no such file; download it", file);
    }
    try {
      long size = Files.size(file);
      if (size > maxBytes) {
        throw BulkgenException.of(
            ErrorCode.MODEL_CORRUPT,
            "%s: %d bytes, more than the %d such a file may have; download it again",
            file,
            size,
            maxBytes);
      }
      JsonNode root = MAPPER.readTree(Files.readAllBytes(file));
      if (root instanceof ObjectNode object) {
        return object;
      }
      throw BulkgenException.of(
          ErrorCode.MODEL_CORRUPT, "%s: no JSON object; download the file again", file);
    } catch (JsonProcessingException e) {
      String place =
          e.getLocation() == null
              ? ""
              : " at line "
                  + e.getLocation().getLineNr()
                  + ", byte "
                  + e.getLocation().getColumnNr();
      throw new BulkgenException(
          ErrorCode.MODEL_CORRUPT,
          file + ": no valid JSON" + place + ": " + e.getOriginalMessage() + "; download it again",
          e);
    } catch (CharConversionException e) {
      throw new BulkgenException(
          ErrorCode.MODEL_CORRUPT,
          file + ": no UTF-8 text (" + e.getMessage() + "); download it again",
          e);
    } catch (IOException e) {
      throw new BulkgenException(
          ErrorCode.STORAGE_FAILED, file + ": cannot be read (" + e + "); check its rights", e);
    }
  }
}
