package dev.bulkgen.model;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.DType;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The JSON header of a safetensors file, as its format description has it: an object from tensor
 * name to {@code dtype}, {@code shape} and {@code data_offsets} [begin, end) in the bytes after the
 * header, and {@code __metadata__} from string to string. Tensors fill those bytes without overlap
 * and without a hole.
 *
 * @param entries in the order of their bytes
 */
record SafetensorsHeader(List<Entry> entries, Map<String, String> metadata) {
  private static final int MAX_RANK = 8;
  private static final int PREFIX_BYTES = Long.BYTES;

  private static final JsonFactory JSON =
      JsonFactory.builder()
          .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
          .streamReadConstraints(
              StreamReadConstraints.builder().maxNestingDepth(4).maxNumberLength(32).build())
          .build();

  /** A tensor: {@code begin} and {@code end} in bytes after the header. */
  record Entry(String name, DType dtype, long[] shape, long begin, long end) {}

  /**
   * @param dataBytes bytes of the file after the header
   * @throws BulkgenException MODEL_CORRUPT, or MODEL_UNSUPPORTED for an element type unknown here
   */
  static SafetensorsHeader parse(Path file, byte[] header, long dataBytes) {
    Reader reader = new Reader(file, PREFIX_BYTES + header.length, dataBytes);
    try (JsonParser parser = JSON.createParser(header)) {
      reader.readAll(parser);
    } catch (IOException e) {
      // The bytes are in memory, so nothing but their content can be wrong.
      boolean placed = e instanceof JsonProcessingException p && p.getLocation() != null;
      long position = placed ? ((JsonProcessingException) e).getLocation().getByteOffset() : 0;
      throw new BulkgenException(
          ErrorCode.MODEL_CORRUPT,
          String.format(
              Locale.ROOT,
              "%s: the header is not valid near byte %d: %s; download the file again",
              file,
              PREFIX_BYTES + Math.max(0, position),
              e instanceof JsonProcessingException p ? p.getOriginalMessage() : e.getMessage()),
          e);
    }
    reader.entries.sort(Comparator.comparingLong(Entry::begin).thenComparingLong(Entry::end));
    reader.checkLayout();
    return new SafetensorsHeader(List.copyOf(reader.entries), Map.copyOf(reader.metadata));
  }

  /** One pass over the header; remembers where it is for the errors. */
  private static final class Reader {
    private final Path file;
    private final long dataStart;
    private final long dataBytes;
    private final List<Entry> entries = new ArrayList<>();
    private final Map<String, String> metadata = new LinkedHashMap<>();

    private Reader(Path file, long dataStart, long dataBytes) {
      this.file = file;
      this.dataStart = dataStart;
      this.dataBytes = dataBytes;
    }

    private void readAll(JsonParser parser) throws IOException {
      expect(parser, parser.nextToken(), JsonToken.START_OBJECT, "the header");
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = parser.currentName();
        if (name.equals("__metadata__")) {
          readMetadata(parser);
        } else {
          entries.add(readEntry(parser, name));
        }
      }
      if (parser.nextToken() != null) {
        throw corrupt("there is more than one JSON value in the header");
      }
    }

    private void readMetadata(JsonParser parser) throws IOException {
      expect(parser, parser.nextToken(), JsonToken.START_OBJECT, "__metadata__");
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String key = parser.currentName();
        expect(parser, parser.nextToken(), JsonToken.VALUE_STRING, "__metadata__." + key);
        metadata.put(key, parser.getText());
      }
    }

    private Entry readEntry(JsonParser parser, String name) throws IOException {
      expect(parser, parser.nextToken(), JsonToken.START_OBJECT, "tensor " + name);
      String type = null;
      long[] shape = null;
      long[] offsets = null;
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String key = parser.currentName();
        JsonToken value = parser.nextToken();
        switch (key) {
          case "dtype" -> {
            expect(parser, value, JsonToken.VALUE_STRING, "dtype of tensor " + name);
            type = parser.getText();
          }
          case "shape" -> shape = readLongs(parser, value, "shape of tensor " + name);
          case "data_offsets" ->
              offsets = readLongs(parser, value, "data_offsets of tensor " + name);
          default -> throw corrupt("tensor %s has an unknown field '%s'", name, key);
        }
      }
      if (type == null || shape == null || offsets == null) {
        throw corrupt("tensor %s lacks dtype, shape or data_offsets", name);
      }
      return checked(name, type, shape, offsets);
    }

    private Entry checked(String name, String typeName, long[] shape, long[] offsets) {
      DType type =
          DType.named(typeName)
              .orElseThrow(
                  () ->
                      BulkgenException.of(
                          ErrorCode.MODEL_UNSUPPORTED,
                          "%s: tensor %s has the unknown dtype %s; known are %s. Use a checkpoint in"
                              + " BF16, F16 or F32",
                          file,
                          name,
                          typeName,
                          Arrays.toString(DType.values())));
      if (offsets.length != 2 || offsets[0] > offsets[1]) {
        throw corrupt(
            "tensor %s has data_offsets %s, not [begin, end]", name, Arrays.toString(offsets));
      }
      if (offsets[1] > dataBytes) {
        throw corrupt(
            "tensor %s should be bytes %d to %d of the file, which ends at %d: it is truncated",
            name, place(offsets[0]), place(offsets[1]), place(dataBytes));
      }
      long expected = byteCount(name, type, shape);
      if (expected != offsets[1] - offsets[0]) {
        throw corrupt(
            "tensor %s %s %s takes %d bytes, but its bytes %d to %d are %d",
            name,
            type,
            Arrays.toString(shape),
            expected,
            place(offsets[0]),
            place(offsets[1]),
            offsets[1] - offsets[0]);
      }
      return new Entry(name, type, shape, offsets[0], offsets[1]);
    }

    /** Offset in the file of an offset in the data; both are bounded by the file's length here. */
    private long place(long offset) {
      long place = dataStart + offset;
      return place < 0 ? Long.MAX_VALUE : place;
    }

    private long byteCount(String name, DType type, long[] shape) {
      try {
        long product = type.bytes();
        for (long extent : shape) {
          product = Math.multiplyExact(product, extent);
        }
        return product;
      } catch (ArithmeticException e) {
        throw corrupt(
            "tensor %s has the shape %s, more than any file holds", name, Arrays.toString(shape));
      }
    }

    private long[] readLongs(JsonParser parser, JsonToken first, String what) throws IOException {
      expect(parser, first, JsonToken.START_ARRAY, what);
      long[] values = new long[MAX_RANK];
      int count = 0;
      for (JsonToken t = parser.nextToken(); t != JsonToken.END_ARRAY; t = parser.nextToken()) {
        expect(parser, t, JsonToken.VALUE_NUMBER_INT, what);
        if (count == MAX_RANK) {
          throw corrupt("the %s has more than %d numbers", what, MAX_RANK);
        }
        if (parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
            || parser.getLongValue() < 0) {
          throw corrupt("the %s holds %s", what, parser.getText());
        }
        values[count++] = parser.getLongValue();
      }
      return Arrays.copyOf(values, count);
    }

    private void checkLayout() {
      long end = 0;
      String previous = "the header";
      for (Entry entry : entries) {
        if (entry.begin() < end) {
          throw corrupt(
              "tensors %s and %s overlap: the first ends at byte %d, the second begins at %d",
              previous, entry.name(), place(end), place(entry.begin()));
        }
        if (entry.begin() > end) {
          throw corrupt(
              "%d bytes between %s and tensor %s (bytes %d to %d) belong to no tensor",
              entry.begin() - end, previous, entry.name(), place(end), place(entry.begin()));
        }
        end = entry.end();
        previous = entry.name();
      }
      if (end != dataBytes) {
        throw corrupt(
            "%d bytes after %s (bytes %d to %d) belong to no tensor",
            dataBytes - end, previous, place(end), place(dataBytes));
      }
    }

    private void expect(JsonParser parser, JsonToken is, JsonToken wanted, String what) {
      if (is != wanted) {
        throw corrupt(
            "the header has %s at byte %d where %s is expected for %s",
            is, PREFIX_BYTES + parser.currentTokenLocation().getByteOffset(), wanted, what);
      }
    }

    private BulkgenException corrupt(String format, Object... arguments) {
      return BulkgenException.of(
          ErrorCode.MODEL_CORRUPT,
          "%s: %s; download the file again",
          file,
          String.format(Locale.ROOT, format, arguments));
    }
  }
}
