package dev.bulkgen.model;

import java.util.List;

/**
 * All that a folder's config.json and generation_config.json say.
 *
 * @param warnings what was left out of it and why, a sentence each
 */
public record ModelDescription(
    ModelConfig config,
    CheckpointForm form,
    GenerationDefaults generationDefaults,
    List<String> warnings) {

  private static final int ASSUMED_ELEMENT_BYTES = 2;

  public ModelDescription {
    warnings = List.copyOf(warnings);
  }

  /** Number of weights, a tied head counted once. */
  public long parameterCount() {
    return WeightMap.of(this).parameterCount();
  }

  /** Bytes of the weights in the declared element type; two a weight where none is declared. */
  public long weightBytes() {
    int each = form.storedType().map(type -> type.bytes()).orElse(ASSUMED_ELEMENT_BYTES);
    return Math.multiplyExact(parameterCount(), (long) each);
  }
}
