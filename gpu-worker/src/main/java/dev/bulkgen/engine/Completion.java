package dev.bulkgen.engine;

/**
 * One sample of a row.
 *
 * @param text without special tokens and without the stop string; empty for a model without
 *     tokenizer
 * @param stopReason the stop string or stop token id that matched; null for an end token or length
 */
public record Completion(
    int sampleIndex,
    String text,
    int[] tokenIds,
    FinishReason finishReason,
    String stopReason,
    Usage usage) {}
