package dev.bulkgen.engine;

/**
 * What the model makes of one completion: P(completion | prompt), from raw logits, before penalties
 * and temperature.
 *
 * @param logLikelihood the natural logarithm of the probability: the sum of {@code logProbs} in
 *     their order; 0 without tokens
 * @param isGreedy whether every token is the likeliest at its place, the lowest id among equals:
 *     what greedy generation would have given
 * @param tokenIds the tokens that are scored
 * @param logProbs [tokenIds] natural logarithms of each token's probability after all before it
 * @param usage prompt tokens: those before the first scored one, of the first window for a text in
 *     windows; completion tokens: the scored ones
 */
public record Score(
    double logLikelihood, boolean isGreedy, int[] tokenIds, float[] logProbs, Usage usage) {}
