package dev.bulkgen.config;

import java.util.Collection;
import java.util.Comparator;
import java.util.Locale;
import java.util.Optional;

/** The known name nearest to a mistyped one. */
public final class Suggestion {
  private Suggestion() {}

  /** Nearest by edit distance, case and underscores aside; empty if more than a third differs. */
  public static Optional<String> nearest(String typed, Collection<String> known) {
    String name = typed.toLowerCase(Locale.ROOT).replace('_', '-');
    int allowed = Math.max(2, name.length() / 3);
    return known.stream()
        .min(Comparator.comparingInt(candidate -> distance(name, candidate)))
        .filter(candidate -> distance(name, candidate) <= allowed);
  }

  /** Levenshtein's edit distance: insertions, deletions and substitutions. */
  static int distance(String left, String right) {
    int[] row = new int[right.length() + 1];
    for (int column = 0; column < row.length; column++) {
      row[column] = column;
    }
    for (int line = 1; line <= left.length(); line++) {
      int diagonal = row[0];
      row[0] = line;
      for (int column = 1; column < row.length; column++) {
        int change = left.charAt(line - 1) == right.charAt(column - 1) ? 0 : 1;
        int best = Math.min(diagonal + change, 1 + Math.min(row[column], row[column - 1]));
        diagonal = row[column];
        row[column] = best;
      }
    }
    return row[right.length()];
  }
}
