package dev.bulkgen.config;

/** {@code --backend}: AUTO takes CUDA where it works, else the CPU. */
public enum BackendChoice {
  AUTO,
  CUDA,
  CPU
}
