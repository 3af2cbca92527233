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
 * @param kind what a command line has to know of its values
 * @param form what a value looks like, for people: {@code integer from 1 to 65536}
 * @param defaultText what applies when nothing is given; a description in brackets where it is not
 *     a fixed value
 * @param defaultValue empty where the default depends on model or machine
 * @param description one sentence
 * @param reader value of a text; throws IllegalArgumentException with what is wrong
 */
public record Setting<T>(
    String name,
    Kind kind,
    String form,
    String defaultText,
    Optional<T> defaultValue,
    String description,
    Function<String, T> reader) {

  /** How values are given. */
  public enum Kind {
    /** One word or text. */
    VALUE,
    /** True where it is named at all. */
    FLAG,
    /** May be given several times. */
    LIST
  }

  /** Each text of a list value ends with this, which no text holds, on its way to the reader. */
  static final String LIST_SEPARATOR = "\0";

  public static Setting<Integer> integer(String name, int min, int max, String description) {
    String form = String.format(Locale.ROOT, "integer from %d to %d", min, max);
    return new Setting<>(
            name, Kind.VALUE, form, "", Optional.empty(), description, whole(form, min, max))
        .map(Long::intValue);
  }

  public static Setting<Long> longInteger(String name, String description) {
    String form = "integer of 64 bits";
    Function<String, Long> reader = whole(form, Long.MIN_VALUE, Long.MAX_VALUE);
    return new Setting<>(name, Kind.VALUE, form, "", Optional.empty(), description, reader);
  }

  public static Setting<Double> number(String name, String description) {
    return new Setting<>(
        name, Kind.VALUE, "number", "", Optional.empty(), description, Setting::toNumber);
  }

  public static Setting<Double> number(String name, double min, double max, String description) {
    String form = "number from " + spell(min) + " to " + spell(max);
    return new Setting<>(
        name,
        Kind.VALUE,
        form,
        "",
        Optional.empty(),
        description,
        text -> inRange(form, text, min, max));
  }

  /** A number above 0 and up to 1. */
  public static Setting<Double> share(String name, String description) {
    String form = "number above 0 and up to 1";
    return new Setting<>(
        name,
        Kind.VALUE,
        form,
        "",
        Optional.empty(),
        description,
        text -> inRange(form, text, Double.MIN_VALUE, 1));
  }

  public static Setting<String> text(String name, String form, String description) {
    return new Setting<>(name, Kind.VALUE, form, "", Optional.empty(), description, text -> text);
  }

  public static Setting<Boolean> flag(String name, String description) {
    String form = "true or false";
    return new Setting<>(
        name, Kind.FLAG, form, "", Optional.empty(), description, text -> toFlag(form, text));
  }

  /** Bytes, written like {@code 8GB}; see {@link ByteSize}. */
  public static Setting<Long> size(String name, String description) {
    String form = "size like 8GB";
    return new Setting<>(
        name, Kind.VALUE, form, "", Optional.empty(), description, ByteSize::parse);
  }

  /** Written like {@code 500ms}, {@code 30s}, {@code 5m}, {@code 2h}. */
  public static Setting<Duration> duration(String name, String description) {
    String form = "time like 30s";
    return new Setting<>(
        name, Kind.VALUE, form, "", Optional.empty(), description, text -> toDuration(form, text));
  }

  /** One of an enum's constants, in lower case with hyphens. */
  public static <E extends Enum<E>> Setting<E> choice(
      String name, Class<E> type, String description) {
    String form =
        Arrays.stream(type.getEnumConstants())
            .map(Setting::spelling)
            .collect(Collectors.joining(", "));
    return new Setting<>(
        name,
        Kind.VALUE,
        form,
        "",
        Optional.empty(),
        description,
        text -> toChoice(form, type, text));
  }

  public static Setting<List<String>> texts(String name, String description) {
    return new Setting<>(
        name, Kind.LIST, "list of texts", "", Optional.empty(), description, Setting::split);
  }

  public static Setting<List<Integer>> integers(String name, int min, int max, String description) {
    String form = String.format(Locale.ROOT, "list of integers from %d to %d", min, max);
    Function<String, Long> element = whole(form, min, max);
    return new Setting<>(
        name,
        Kind.LIST,
        form,
        "",
        Optional.empty(),
        description,
        text -> split(text).stream().map(part -> element.apply(part).intValue()).toList());
  }

  /** The same setting with a fixed default, spelled as a user would. */
  public Setting<T> withDefault(String text) {
    T value = reader.apply(text);
    return new Setting<>(name, kind, form, text, Optional.of(value), description, reader);
  }

  /** The same setting with a default that depends on model or machine. */
  public Setting<T> withDescribedDefault(String words) {
    return new Setting<>(
        name, kind, form, "(" + words + ")", Optional.empty(), description, reader);
  }

  /** A constant as users write it. */
  public static String spelling(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** A value as users would write it, so that the same value is always the same text. */
  public static String spell(Object value) {
    if (value instanceof List<?> elements) {
      return join(elements.stream().map(Setting::spell).toList());
    }
    if (value instanceof Enum<?> constant) {
      return spelling(constant);
    }
    if (value instanceof Double number && number == Math.rint(number) && Math.abs(number) < 1e15) {
      return String.valueOf(number.longValue());
    }
    return String.valueOf(value);
  }

  /** A spelled value for people's eyes: the elements of a list are parted by commas. */
  public static String show(String spelled) {
    return spelled.contains(LIST_SEPARATOR) ? String.join(", ", split(spelled)) : spelled;
  }

  private <U> Setting<U> map(Function<T, U> function) {
    return new Setting<>(
        name,
        kind,
        form,
        defaultText,
        defaultValue.map(function),
        description,
        reader.andThen(function));
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

  /** NaN is outside of every range. */
  private static Double inRange(String form, String text, double min, double max) {
    double value = toNumber(text);
    if (value >= min && value <= max) {
      return value;
    }
    throw unfit(form, text);
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
    if (text.isEmpty()) {
      return List.of();
    }
    String ended = text.endsWith(LIST_SEPARATOR) ? text.substring(0, text.length() - 1) : text;
    return List.of(ended.split(LIST_SEPARATOR, -1));
  }

  static String join(List<String> elements) {
    return elements.stream().map(element -> element + LIST_SEPARATOR).collect(Collectors.joining());
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
