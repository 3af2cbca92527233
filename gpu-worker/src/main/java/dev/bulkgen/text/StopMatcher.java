package dev.bulkgen.text;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.List;
import java.util.Optional;

/**
 * Looks for stop strings in text that comes in parts, and holds back what could still become one.
 * The match that begins first wins, the longest of those that begin together; so the result is that
 * of a search in the whole text, however it was cut.
 *
 * <p>One sequence's state; not safe for several threads.
 */
public final class StopMatcher {
  private final List<String> stops;
  private final StringBuilder held = new StringBuilder();
  private String matched;

  /**
   * @throws BulkgenException SETTING_INVALID for an empty stop string
   */
  public StopMatcher(List<String> stops) {
    if (stops.contains("")) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID, "A stop string is empty; give at least one character.");
    }
    this.stops = List.copyOf(stops);
  }

  /** Takes more text; the part that surely belongs to the output. Empty once a stop matched. */
  public String push(String text) {
    if (matched != null) {
      return "";
    }
    if (stops.isEmpty()) {
      return text;
    }
    held.append(text);
    return release(true);
  }

  /** Ends the text: what was held back, up to a stop string if one is in it. */
  public String finish() {
    return matched != null ? "" : release(false);
  }

  /** The stop string that was met; the text returned so far ends right before it. */
  public Optional<String> matched() {
    return Optional.ofNullable(matched);
  }

  private String release(boolean moreMayCome) {
    int end = held.length();
    for (int start = 0; start < end; start++) {
      String longest = null;
      boolean undecided = false;
      for (String stop : stops) {
        int common = common(stop, start);
        if (common == stop.length()) {
          longest = longest == null || stop.length() > longest.length() ? stop : longest;
        } else if (start + common == end) {
          undecided |= moreMayCome;
        }
      }
      if (undecided || longest != null) {
        String text = held.substring(0, start);
        if (undecided) {
          held.delete(0, start);
        } else {
          matched = longest;
          held.setLength(0);
        }
        return text;
      }
    }
    String text = held.toString();
    held.setLength(0);
    return text;
  }

  private int common(String stop, int start) {
    int limit = Math.min(stop.length(), held.length() - start);
    int i = 0;
    while (i < limit && held.charAt(start + i) == stop.charAt(i)) {
      i++;
    }
    return i;
  }
}
