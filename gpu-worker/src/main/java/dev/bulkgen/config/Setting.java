package dev.bulkgen.config;

import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * A key that settings files and the command line know, by the same name. Reads its value from text;
 * everything that documents a setting (reference page, default file) is made from this.
 *
 * @param name in kebab-case
 * @param form what a value looks like, for people: {@code integer from 1 to 65536}
 * @param defaultText what applies when nothing is given; a description in brackets where it is not
 *     a fixed value
 * @param defaultValue empty where the default depends on model or machine
 * @param description one sentence
 * @param reader value of a text; throws IllegalArgumentException with what is wrong
 */
public record Setting<T>(
    String name,
    String form,
    String defaultText,
    Optional<T> defaultValue,
    String description,
    Function<String, T> reader) {

  /** Texts of a list value are joined by this, which no text holds, on their way to the reader. */
  static final String LIST_SEPARATOR = "\0";

  public static Setting<Integer> integer(String name, int min, int max, String description) {
    String form = String.format(Locale.ROOT, "integer from %d to %d", min, max);
    return new Setting<>(name, form, "", Optional.empty(), description, whole(form, min, max))
        .map(Long::intValue);
  }

  public static Setting<Long> longInteger(String name, String description) {
    String form = "integer of 64 bits";
    Function<String, Long> reader = whole(form, Long.MIN_VALUE, Long.MAX_VALUE);
    return new Setting<>(name, form, "", Optional.empty(), description, reader);
  }

  public static Setting<Double> number(String name, String description) {
    return new Setting<>(name, "number", "", Optional.empty(), description, Setting::toNumber);
  }

  public static Setting<String> text(String name, String form, String description) {
    return new Setting<>(name, form, "", Optional.empty(), description, text -> text);
  }

  public static Setting<Boolean> flag(String name, String description) {
    String form = "true or false";
    return new Setting<>(name, form, "", Optional.empty(), description, text -> toFlag(form, text));
  }

  /** Bytes, written like {@code 8GB}; see {@link ByteSize}. */
  public static Setting<Long> size(String name, String description) {
    String form = "size like 8GB";
    return new Setting<>(name, form, "", Optional.empty(), description, ByteSize::parse);
  }

  /** Written like {@code 500ms}, {@code 30s}, {@code 5m}, {@code 2h}. */
  public static Setting<Duration> duration(String name, String description) {
    String form = "time like 30s";
    return new Setting<>(
        name, form, "", Optional.empty(), description, text -> toDuration(form, text));
  }

  /** One of an enum's constants, in lower case with hyphens. */
  public static <E extends Enum<E>> Setting<E> choice(
      String name, Class<E> type, String description) {
    String form =
        Arrays.stream(type.getEnumConstants())
            .map(Setting::spelling)
            .collect(Collectors.joining(", "));
    return new Setting<>(
        name, form, "", Optional.empty(), description, text -> toChoice(form, type, text));
  }

  public static Setting<List<String>> texts(String name, String description) {
    return new Setting<>(name, "list of texts", "", Optional.empty(), description, Setting::split);
  }

  public static Setting<List<Integer>> integers(String name, int min, int max, String description) {
    String form = String.format(Locale.ROOT, "list of integers from %d to %d", min, max);
    Function<String, Long> element = whole(form, min, max);
    return new Setting<>(
        name,
        form,
        "",
        Optional.empty(),
        description,
        text -> split(text).stream().map(part -> element.apply(part).intValue()).toList());
  }

  /** The same setting with a fixed default, spelled as a user would. */
  public Setting<T> withDefault(String text) {
    T value = reader.apply(text);
    return new Setting<>(name, form, text, Optional.of(value), description, reader);
  }

  /** The same setting with a default that depends on model or machine. */
  public Setting<T> withDescribedDefault(String words) {
    return new Setting<>(name, form, "(" + words + ")", Optional.empty(), description, reader);
  }

  /** A constant as users write it. */
  public static String spelling(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  private <U> Setting<U> map(Function<T, U> function) {
    return new Setting<>(
        name, form, defaultText, defaultValue.map(function), description, reader.andThen(function));
  }

  private static Function<String, Long> whole(String form, long min, long max) {
    return text -> {
      try {
        long value = Long.parseLong(text.trim());
        if (value >= min && value <= max) {
          return value;
        }
      } catch (NumberFormatException e) {
        // falls through to the one message
      }
      throw unfit(form, text);
    };
  }

  private static Double toNumber(String text) {
    try {
      return Double.valueOf(text.trim());
    } catch (NumberFormatException e) {
      throw unfit("number", text);
    }
  }

  private static Boolean toFlag(String form, String text) {
    return switch (text.trim().toLowerCase(Locale.ROOT)) {
      case "true", "yes", "on" -> true;
      case "false", "no", "off" -> false;
      default -> throw unfit(form, text);
    };
  }

  private static Duration toDuration(String form, String text) {
    String trimmed = text.trim();
    int digits = 0;
    while (digits < trimmed.length() && Character.isDigit(trimmed.charAt(digits))) {
      digits++;
    }
    if (digits == 0 || digits > 12) {
      throw unfit(form, text);
    }
    long count = Long.parseLong(trimmed.substring(0, digits));
    return switch (trimmed.substring(digits).trim()) {
      case "ms" -> Duration.ofMillis(count);
      case "s" -> Duration.ofSeconds(count);
      case "m" -> Duration.ofMinutes(count);
      case "h" -> Duration.ofHours(count);
      default -> throw unfit(form, text);
    };
  }

  private static <E extends Enum<E>> E toChoice(String form, Class<E> type, String text) {
    for (E constant : type.getEnumConstants()) {
      if (spelling(constant).equals(text.trim().toLowerCase(Locale.ROOT))) {
        return constant;
      }
    }
    throw unfit("one of " + form, text);
  }

  private static List<String> split(String text) {
    return text.isEmpty() ? List.of() : List.of(text.split(LIST_SEPARATOR, -1));
  }

  private static IllegalArgumentException unfit(String form, String text) {
    return new IllegalArgumentException("'" + text + "' is not " + article(form) + form);
  }

  private static String article(String form) {
    if (form.startsWith("one of") || form.startsWith("true")) {
      return "";
    }
    return form.startsWith("integer") ? "an " : "a ";
  }
}
