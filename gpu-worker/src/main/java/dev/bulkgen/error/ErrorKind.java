package dev.bulkgen.error;

/** What an error means for the job: the kind alone decides who handles it. */
public enum ErrorKind {
  /** A setting or a file the user named is wrong; the job stops at once and is not retried. */
  USER,
  /** One row is bad; the error goes into that row and the job goes on. */
  DATA,
  /** Memory, disk or another limit; refused with the number that would fit. */
  RESOURCE,
  /** Something outside failed (storage, network); Spark retries. */
  EXTERNAL,
  /** A bug of ours. */
  INTERNAL,
  /** The device context is gone; the executor process ends and is replaced. */
  DEVICE_FATAL
}
