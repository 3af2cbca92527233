package dev.bulkgen.spark.config;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * Values by name, read as what they should be. A value that is wrong is put down as a problem and
 * replaced by one that lets reading go on.
 */
final class TypedValues {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Map<String, String> values;
  private final Problems problems;

  TypedValues(Map<String, String> values, Problems problems) {
    this.values = values;
    this.problems = problems;
  }

  Optional<String> text(String name) {
    return Optional.ofNullable(values.get(name));
  }

  String required(String name) {
    String value = values.get(name);
    if (value == null || value.isBlank()) {
      problems.invalid("%s is missing: give --%s", name, name);
      return "";
    }
    return value;
  }

  String choice(String name) {
    Setting setting = SettingCatalogue.find(name).orElseThrow();
    String value = values.get(name);
    if (!setting.choices().contains(value)) {
      problems.invalid("%s '%s' is none of %s", name, value, String.join(", ", setting.choices()));
      return setting.defaultValue();
    }
    return value;
  }

  boolean flag(String name) {
    return choice(name).equals("true");
  }

  List<String> list(String name) {
    try {
      return JSON.readValue(values.get(name), new TypeReference<List<String>>() {});
    } catch (JsonProcessingException e) {
      problems.invalid("%s is not a list of texts: %s", name, values.get(name));
      return List.of();
    }
  }

  OptionalLong integer(String name, long low, long high) {
    String value = values.get(name);
    return value == null ? OptionalLong.empty() : parseInteger(name, value, low, high);
  }

  OptionalInt smallInteger(String name, int low, int high) {
    OptionalLong value = integer(name, low, high);
    return value.isPresent() ? OptionalInt.of((int) value.getAsLong()) : OptionalInt.empty();
  }

  OptionalLong parseInteger(String name, String text, long low, long high) {
    try {
      long value = Long.parseLong(text.trim().replace("_", ""));
      if (value >= low && value <= high) {
        return OptionalLong.of(value);
      }
      problems.invalid("%s is %d: %s", name, value, range(low, high));
    } catch (NumberFormatException e) {
      problems.invalid("%s is '%s': not a whole number", name, text);
    }
    return OptionalLong.empty();
  }

  private static String range(long low, long high) {
    return high >= Integer.MAX_VALUE
        ? "it has to be " + low + " or more"
        : "it has to be from " + low + " to " + high;
  }

  /** From {@code low} to {@code high}, both allowed. */
  double number(String name, double low, double high) {
    return number(name, low, high, "it has to be from " + trim(low) + " to " + trim(high), low);
  }

  /** Above {@code low}, up to {@code high}. */
  double numberAbove(String name, double low, double high) {
    String rule = "it has to be above " + trim(low) + " and up to " + trim(high);
    return number(name, Math.nextUp(low), high, rule, high);
  }

  private double number(String name, double low, double high, String rule, double fallback) {
    String text = values.get(name);
    try {
      double value = Double.parseDouble(text.trim());
      if (value >= low && value <= high) {
        return value;
      }
      problems.invalid("%s is %s: %s", name, text, rule);
    } catch (NumberFormatException e) {
      problems.invalid("%s is '%s': not a number", name, text);
    }
    return fallback;
  }

  private static String trim(double value) {
    return value == Math.rint(value) ? String.valueOf((long) value) : String.valueOf(value);
  }

  OptionalLong bytes(String name) {
    String text = values.get(name);
    if (text == null) {
      return OptionalLong.empty();
    }
    OptionalLong size = ByteSize.parse(text);
    if (size.isEmpty() || size.getAsLong() == 0) {
      problems.invalid("%s is '%s': write a size such as 512MB or 4GB", name, text);
      return OptionalLong.empty();
    }
    return size;
  }
}
