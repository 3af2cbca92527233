package dev.bulkgen.spark.sink;

import java.io.Serializable;
import java.util.Locale;

/** Which plan and which settings a shard belongs to, and how it is laid out. */
public record ShardIdentity(String planDigest, String settingsDigest, ShardFormat format)
    implements Serializable {
  private static final int NAME_DIGITS = 12;

  /** The same for every attempt at a unit: who renames last wins with the same bytes. */
  public String fileName(int unit) {
    return String.format(
        Locale.ROOT,
        "part-%05d-%s%s",
        unit,
        planDigest.substring(0, NAME_DIGITS),
        format.extension());
  }
}
