package dev.bulkgen.model;

/** RMS norm (Llama and its kin) or layer norm with a bias (Falcon). */
public enum NormKind {
  RMS,
  LAYER
}
