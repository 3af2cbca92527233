package dev.bulkgen.model;

/** How attention and MLP of a layer stand to each other. */
public enum BlockForm {
  /** {@code x += attention(norm1(x)); x += mlp(norm2(x))}. */
  SEQUENTIAL,
  /** {@code x += attention(norm1(x)) + mlp(norm1(x))} (Falcon-7B). */
  PARALLEL_ONE_NORM,
  /** {@code x += attention(norm1(x)) + mlp(norm2(x))} (Falcon, new decoder architecture). */
  PARALLEL_TWO_NORMS
}
