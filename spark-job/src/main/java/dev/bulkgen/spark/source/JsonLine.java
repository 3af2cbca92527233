package dev.bulkgen.spark.source;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Tells whether a line is one JSON object, more strictly than Spark's lenient reader. */
final class JsonLine {
  private static final JsonFactory JSON =
      JsonFactory.builder().enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION).build();

  private JsonLine() {}

  /** What is wrong with the line; null if nothing is. */
  static String problem(byte[] line) {
    String encoding = encodingProblem(line);
    if (encoding != null) {
      return encoding;
    }
    try (JsonParser parser = JSON.createParser(line)) {
      if (parser.nextToken() != JsonToken.START_OBJECT) {
        return "not a JSON object";
      }
      parser.skipChildren();
      return parser.nextToken() == null ? null : "more than one JSON value on the line";
    } catch (JsonProcessingException e) {
      return "not valid JSON: " + e.getOriginalMessage();
    } catch (IOException e) {
      return "not valid JSON: " + e.getMessage();
    }
  }

  /** Null if the bytes are UTF-8. */
  static String encodingProblem(byte[] bytes) {
    try {
      StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes));
      return null;
    } catch (CharacterCodingException e) {
      return "not valid UTF-8";
    }
  }

  /** The names of the object's fields as they stand; for lines without a problem. */
  static List<String> names(String line) {
    List<String> names = new ArrayList<>();
    try (JsonParser parser = JSON.createParser(line)) {
      parser.nextToken();
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        names.add(parser.currentName());
        parser.nextToken();
        parser.skipChildren();
      }
    } catch (IOException e) {
      throw new IllegalStateException("the line was checked before", e);
    }
    return names;
  }
}
