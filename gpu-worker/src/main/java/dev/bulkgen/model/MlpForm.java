package dev.bulkgen.model;

/** The feed-forward part of a layer. */
public enum MlpForm {
  /** {@code down(silu(gate(x)) * up(x))}. */
  SILU_GATED,
  /** {@code down(gelu(up(x)))} with the exact error function. */
  GELU,
  /** {@code down(gelu(up(x)))} with the tanh approximation. */
  GELU_TANH
}
