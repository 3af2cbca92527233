package dev.bulkgen.spark.plan;

import java.io.Serializable;
import java.util.Locale;

/**
 * The rows one task runs and commits.
 *
 * @param cost estimated tokens, prompts and outputs
 * @param digest of keys, contents and order
 */
public record UnitSpec(int unit, long rows, long cost, String digest) implements Serializable {

  public String fileName() {
    return String.format(Locale.ROOT, "unit-%05d.parquet", unit);
  }
}
