package dev.bulkgen.model;

import dev.bulkgen.tensor.DType;
import java.util.Optional;

/**
 * How a checkpoint holds the weights of a {@link ModelConfig}: facts of the files, which the
 * forward pass does not need.
 *
 * @param qkvBias biases at the query, key and value projections
 * @param outputBias a bias at attention's output projection
 * @param mlpBias biases at all projections of the MLP
 * @param fusedQkv one tensor [kvHeads, groupSize + 2, headDim, hidden] holds, per K/V head, its
 *     query heads, then its key, then its value
 * @param storedType the element type config.json declares, if it does
 */
public record CheckpointForm(
    boolean qkvBias,
    boolean outputBias,
    boolean mlpBias,
    boolean fusedQkv,
    Optional<DType> storedType) {}
