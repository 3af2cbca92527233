package dev.bulkgen.text.jinja;

/**
 * What one rendering may use.
 *
 * @param steps evaluated nodes, loop rounds, and one for every 16 characters or each item that an
 *     operation reads or makes
 * @param characters length of the output, and of every string made on the way
 * @param depth nesting of macro calls, recursive loops and data
 */
public record Limits(long steps, int characters, int depth) {
  /** Room for prompts of a million tokens; far beyond what published chat templates use. */
  public static final Limits DEFAULT = new Limits(20_000_000, 16 << 20, 100);
}
