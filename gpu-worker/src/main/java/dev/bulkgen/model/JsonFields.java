package dev.bulkgen.model;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;

/**
 * Typed, bounded reads of a JSON object that note every mistake and go on, so that all of them are
 * told at once. A key with the value null counts as absent. A read that fails gives a neutral value
 * (0 or the fallback) and leaves its note.
 */
final class JsonFields {
  /** The notes, each kept once; {@link #throwIfAny} ends the reading. */
  static final class Problems {
    private final Set<String> invalid = new LinkedHashSet<>();
    private final Set<String> unsupported = new LinkedHashSet<>();

    /** Throws MODEL_CORRUPT if a value is wrong, else MODEL_UNSUPPORTED if one is not supported. */
    void throwIfAny(Object where) {
      List<String> all = new ArrayList<>(invalid);
      all.addAll(unsupported);
      if (all.isEmpty()) {
        return;
      }
      throw BulkgenException.of(
          invalid.isEmpty() ? ErrorCode.MODEL_UNSUPPORTED : ErrorCode.MODEL_CORRUPT,
          "%s: %s%s",
          where,
          all.size() == 1 ? "" : all.size() + " problems:\n  ",
          String.join("\n  ", all));
    }
  }

  private final ObjectNode node;
  private final String prefix;
  private final Problems problems;

  JsonFields(ObjectNode node, Problems problems) {
    this(node, "", problems);
  }

  private JsonFields(ObjectNode node, String prefix, Problems problems) {
    this.node = node;
    this.prefix = prefix;
    this.problems = problems;
  }

  boolean has(String key) {
    return node.hasNonNull(key);
  }

  /** True if the key stands in the file, if only with the value null. */
  boolean mentions(String key) {
    return node.has(key);
  }

  JsonNode raw(String key) {
    return node.path(key);
  }

  /** An inner object; empty, with a note, if the key holds something else. */
  Optional<JsonFields> object(String key) {
    if (!has(key)) {
      return Optional.empty();
    }
    if (node.get(key) instanceof ObjectNode inner) {
      return Optional.of(new JsonFields(inner, prefix + key + ".", problems));
    }
    invalid("%s is %s; it must be an object", key, shown(key));
    return Optional.empty();
  }

  /** A required integer. */
  int integer(String key, int min, int max) {
    if (!has(key)) {
      invalid("%s is missing; it must be an integer from %d to %d", key, min, max);
      return 0;
    }
    return optionalInteger(key, min, max).orElse(0);
  }

  int integer(String key, int min, int max, int fallback) {
    return has(key) ? integer(key, min, max) : fallback;
  }

  OptionalInt optionalInteger(String key, int min, int max) {
    if (!has(key)) {
      return OptionalInt.empty();
    }
    OptionalLong value = integral(node.get(key));
    if (value.isEmpty() || value.getAsLong() < min || value.getAsLong() > max) {
      invalid("%s is %s; it must be an integer from %d to %d", key, shown(key), min, max);
      return OptionalInt.empty();
    }
    return OptionalInt.of((int) value.getAsLong());
  }

  /** A required number, min ≤ value ≤ max. */
  double number(String key, double min, double max) {
    if (!has(key)) {
      invalid("%s is missing; it must be a number from %s to %s", key, min, max);
      return 0;
    }
    return optionalNumber(key, min, max).orElse(0);
  }

  double number(String key, double min, double max, double fallback) {
    return has(key) ? number(key, min, max) : fallback;
  }

  OptionalDouble optionalNumber(String key, double min, double max) {
    if (!has(key)) {
      return OptionalDouble.empty();
    }
    JsonNode value = node.get(key);
    double number = value.isNumber() ? value.doubleValue() : Double.NaN;
    if (!(number >= min && number <= max)) {
      invalid("%s is %s; it must be a number from %s to %s", key, shown(key), min, max);
      return OptionalDouble.empty();
    }
    return OptionalDouble.of(number);
  }

  boolean flag(String key, boolean fallback) {
    return optionalFlag(key).orElse(fallback);
  }

  Optional<Boolean> optionalFlag(String key) {
    if (!has(key)) {
      return Optional.empty();
    }
    if (!node.get(key).isBoolean()) {
      invalid("%s is %s; it must be true or false", key, shown(key));
      return Optional.empty();
    }
    return Optional.of(node.get(key).booleanValue());
  }

  Optional<String> text(String key) {
    if (!has(key)) {
      return Optional.empty();
    }
    if (!node.get(key).isTextual()) {
      invalid("%s is %s; it must be a string", key, shown(key));
      return Optional.empty();
    }
    return Optional.of(node.get(key).textValue());
  }

  /** An integer or a list of them; none if absent. */
  List<Integer> integers(String key, int min, int max) {
    List<Integer> values = new ArrayList<>();
    if (!has(key)) {
      return values;
    }
    JsonNode value = node.get(key);
    Iterable<JsonNode> items = value.isArray() ? value : List.of(value);
    for (JsonNode item : items) {
      OptionalLong number = integral(item);
      if (number.isEmpty() || number.getAsLong() < min || number.getAsLong() > max) {
        invalid("%s is %s; it must hold integers from %d to %d", key, shown(key), min, max);
        return List.of();
      }
      values.add((int) number.getAsLong());
    }
    return values;
  }

  /** Notes a value that no such file may have. */
  void invalid(String format, Object... arguments) {
    problems.invalid.add(prefix + String.format(Locale.ROOT, format, arguments));
  }

  /** Notes something sound that this program cannot do. */
  void unsupported(String format, Object... arguments) {
    problems.unsupported.add(prefix + String.format(Locale.ROOT, format, arguments));
  }

  /** The value as it stands in the file, cut to a length that suits a message. */
  String shown(String key) {
    String text = node.path(key).toString();
    return text.length() <= 80 ? text : text.substring(0, 80) + "…";
  }

  private static OptionalLong integral(JsonNode value) {
    return value.isIntegralNumber() && value.canConvertToLong()
        ? OptionalLong.of(value.longValue())
        : OptionalLong.empty();
  }
}
