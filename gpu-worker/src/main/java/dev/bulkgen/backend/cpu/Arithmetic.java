package dev.bulkgen.backend.cpu;

/** Which twin computes: both give the same bits (P1). */
public enum Arithmetic {
  /** Plain loops: the truth, and what runs where the Vector API is missing. */
  SCALAR,
  /** The Vector API, {@code jdk.incubator.vector}. */
  VECTOR
}
