package dev.bulkgen.text.jinja;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.time.LocalDateTime;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** One rendering: its limits, what it has used of them, and the line it is at for messages. */
final class Run {
  private final String template;
  private final Limits limits;
  private final LocalDateTime now;
  private long steps;
  private int depth;
  private int line = 1;

  Run(String template, Limits limits, LocalDateTime now) {
    this.template = template;
    this.limits = limits;
    this.now = now;
  }

  LocalDateTime now() {
    return now;
  }

  void at(int newLine) {
    line = newLine;
    charge(1);
  }

  void charge(long count) {
    steps += count;
    if (steps > limits.steps()) {
      throw error(
          "it takes more than %d steps; a loop or a string in it is too long", limits.steps());
    }
  }

  /** Charges for an operation that reads or makes this value. */
  void chargeFor(Object value) {
    if (value instanceof String text) {
      charge(text.length() >> 4);
    } else if (value instanceof List<?> list) {
      charge(list.size());
    } else if (value instanceof Map<?, ?> map) {
      charge(map.size());
    }
  }

  void checkLength(long characters) {
    if (characters > limits.characters()) {
      throw error("a text in it grows beyond %d characters", limits.characters());
    }
  }

  int maxDepth() {
    return limits.depth();
  }

  void enter() {
    if (++depth > limits.depth()) {
      throw error("its macros or recursive loops nest deeper than %d", limits.depth());
    }
  }

  void leave() {
    depth--;
  }

  BulkgenException error(String format, Object... arguments) {
    return BulkgenException.of(
        ErrorCode.TEMPLATE_FAILED,
        "Chat template %s, line %d: %s.",
        template,
        line,
        String.format(Locale.ROOT, format, arguments));
  }
}
