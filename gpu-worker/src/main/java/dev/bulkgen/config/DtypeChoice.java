package dev.bulkgen.config;

/**
 * {@code --dtype}: in what precision activations go into the products of a GPU. Weights stay as the
 * checkpoint has them, sums are float32, and the CPU backend is float32 throughout.
 */
public enum DtypeChoice {
  /** The 16-bit type of the checkpoint. */
  AUTO,
  /** Two numbers of that type for each activation, the rounded and its rest: twice the products. */
  FLOAT32
}
