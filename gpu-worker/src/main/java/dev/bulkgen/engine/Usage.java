package dev.bulkgen.engine;

/** Token counts of a completion; {@code cachedTokens} of the prompt came from a shared prefix. */
public record Usage(int promptTokens, int completionTokens, int cachedTokens) {}
