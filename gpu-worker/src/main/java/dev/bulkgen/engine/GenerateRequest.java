package dev.bulkgen.engine;

import dev.bulkgen.sampling.SamplingParams;

/**
 * A row to generate for.
 *
 * @param key of the row: with the seed and the sample index it fixes the random numbers (P1)
 */
public record GenerateRequest(String key, Prompt prompt, SamplingParams params) {}
