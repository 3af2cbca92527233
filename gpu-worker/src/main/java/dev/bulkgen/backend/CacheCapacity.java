package dev.bulkgen.backend;

/**
 * What the memory plan grants a backend; it takes all of it at start and never asks again.
 *
 * @param pages in the pool, each of one layer
 * @param slots window slots: the most sequences in flight
 * @param prefillTokens the most prompt tokens of one step, at least the longest prompt
 */
public record CacheCapacity(int pages, int slots, int prefillTokens) {}
