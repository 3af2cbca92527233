package dev.bulkgen.sampling;

/**
 * What is reported of a token that was drawn: natural log-probabilities as {@link LogProbs} defines
 * them, from raw logits, whatever the penalties and the temperature.
 *
 * @param logProb of the token
 * @param topTokens the likeliest tokens, as many as asked for, the likeliest first, equal ones by
 *     id
 * @param topLogProbs of these
 */
public record TokenLogProbs(float logProb, int[] topTokens, float[] topLogProbs) {}
