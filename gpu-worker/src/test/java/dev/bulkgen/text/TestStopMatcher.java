package dev.bulkgen.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class TestStopMatcher {
  @Test
  void holdsBackWhatCouldBecomeAStopString() {
    StopMatcher matcher = new StopMatcher(List.of("\n\nUser:"));
    assertEquals("Yes.", matcher.push("Yes.\n"));
    assertEquals("", matcher.push("\nUs"));
    assertEquals("\n\nUsed", matcher.push("ed"));
    assertEquals(" it", matcher.push(" it\n\n"));
    assertEquals("", matcher.push("User: more"));
    assertEquals(Optional.of("\n\nUser:"), matcher.matched());
    assertEquals("", matcher.push("ignored"));
    assertEquals("", matcher.finish());
  }

  @Test
  void theFirstStartWinsAndThenTheLongest() {
    StopMatcher longest = new StopMatcher(List.of("ab", "abc"));
    assertEquals("x", longest.push("xab"));
    assertTrue(longest.matched().isEmpty());
    assertEquals("", longest.push("c"));
    assertEquals(Optional.of("abc"), longest.matched());

    StopMatcher first = new StopMatcher(List.of("bc", "abcd"));
    assertEquals("x", first.push("xabc"));
    assertEquals("a", first.push("e"));
    assertEquals(Optional.of("bc"), first.matched());

    StopMatcher ends = new StopMatcher(List.of("bc", "abcd"));
    assertEquals("x", ends.push("xabc"));
    assertEquals("a", ends.finish());
    assertEquals(Optional.of("bc"), ends.matched());
  }

  @Test
  void equalsASearchInTheWholeText() {
    SplittableRandom random = new SplittableRandom(3);
    int met = 0;
    for (int round = 0; round < 20_000; round++) {
      List<String> stops = new ArrayList<>();
      for (int i = random.nextInt(0, 4); i > 0; i--) {
        stops.add(word(random, random.nextInt(1, 5)));
      }
      String text = word(random, random.nextInt(0, 25));
      StopMatcher matcher = new StopMatcher(stops);
      StringBuilder out = new StringBuilder();
      for (int from = 0; from < text.length(); ) {
        int to = Math.min(text.length(), from + random.nextInt(0, 5));
        out.append(matcher.push(text.substring(from, to)));
        from = to;
      }
      out.append(matcher.finish());
      int start = text.length();
      String expected = null;
      for (String stop : stops) {
        int at = text.indexOf(stop);
        if (at >= 0
            && (at < start
                || (at == start && expected != null && stop.length() > expected.length()))) {
          start = at;
          expected = stop;
        }
      }
      String context = stops + " in " + text;
      assertEquals(text.substring(0, start), out.toString(), context);
      assertEquals(Optional.ofNullable(expected), matcher.matched(), context);
      met += expected != null ? 1 : 0;
    }
    assertTrue(met > 5_000, "only " + met + " rounds met a stop string");
  }

  private static String word(SplittableRandom random, int length) {
    StringBuilder word = new StringBuilder();
    for (int i = 0; i < length; i++) {
      word.append((char) ('a' + random.nextInt(2)));
    }
    return word.toString();
  }

  @Test
  void anEmptyStopStringIsRefused() {
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> new StopMatcher(List.of("a", "")));
    assertEquals(ErrorCode.SETTING_INVALID, error.code());
  }
}
