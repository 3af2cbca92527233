package dev.bulkgen.spark.storage;

/**
 * What became of a file that was given its name. A definite failure is none of these: it is an
 * exception, after which nothing of this attempt is under the name.
 */
public enum CommitOutcome {
  /** The file is there, by this attempt. */
  COMMITTED,

  /** Another attempt was faster; the same bytes are there. */
  ALREADY_COMMITTED,

  /**
   * The storage does not tell whether the file is there. Nothing was deleted: whoever comes next
   * looks again.
   */
  UNKNOWN
}
