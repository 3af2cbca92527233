package dev.bulkgen.config;

/** {@code --gemm}: what multiplies the rows of prompts with the weights on a GPU. */
public enum GemmChoice {
  /** Our kernels: a row has the same bits in every batch (P1). */
  OWN,
  /** NVIDIA's library, which may sum in another order when the number of rows changes. */
  CUBLAS
}
