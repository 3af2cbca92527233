package dev.bulkgen.spark.plan;

import static org.apache.spark.sql.functions.char_length;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.size;
import static org.apache.spark.sql.functions.slice;
import static org.apache.spark.sql.functions.substring;
import static org.apache.spark.sql.functions.when;
import static org.apache.spark.sql.functions.xxhash64;

import org.apache.spark.sql.Column;

/**
 * Hashes of the leading part of a prompt at a few fixed lengths: rows that begin alike have the
 * same hash at the lengths up to where they part.
 */
final class PrefixLengths {
  /** Characters; about 64, 256 and 1024 tokens. Less than that is not worth a place together. */
  private static final int[] CHARACTERS = {256, 1024, 4096};

  private static final int CHARACTERS_A_TOKEN = 4;

  /** How many lengths there are. */
  static final int LEVELS = CHARACTERS.length;

  /** Stands for a prompt that is shorter than the first length. */
  static final long NONE = 0;

  private PrefixLengths() {}

  /**
   * A column for each length. A prompt that is too short for one has the hash of the longest that
   * it reaches, or {@link #NONE}.
   */
  static Column[] hashes(CostEstimate.Text prompt) {
    Column[] hashes = new Column[LEVELS];
    Column shorter = lit(NONE);
    for (int level = 0; level < LEVELS; level++) {
      hashes[level] = hash(prompt, CHARACTERS[level], shorter);
      shorter = hashes[level];
    }
    return hashes;
  }

  private static Column hash(CostEstimate.Text prompt, int characters, Column shorter) {
    Column value = prompt.value();
    if (prompt.isTokens()) {
      int tokens = characters / CHARACTERS_A_TOKEN;
      return when(size(value).geq(tokens), xxhash64(slice(value, 1, tokens))).otherwise(shorter);
    }
    return when(char_length(value).geq(characters), xxhash64(substring(value, 1, characters)))
        .otherwise(shorter);
  }
}
