package dev.bulkgen.engine;

/**
 * Token counts of a completion.
 *
 * @param cachedTokens of the prompt, which another prompt began with: those that were really taken
 *     from it, or, for a request with {@link CommonPrefixes}, those that could be
 */
public record Usage(int promptTokens, int completionTokens, int cachedTokens) {}
