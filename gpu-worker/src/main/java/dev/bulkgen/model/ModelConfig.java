package dev.bulkgen.model;

import java.util.Set;

/**
 * config.json as facts. A family is a combination of these values, never a class of its own.
 *
 * @param family {@code model_type} of config.json
 * @param maxPositions longest sequence the model was made for, in tokens
 * @param eosTokenIds end tokens named by config.json and generation_config.json; may be empty
 * @param bosTokenId −1 if none is named
 */
public record ModelConfig(
    String family,
    int vocabSize,
    int hiddenSize,
    int intermediateSize,
    int layerCount,
    int maxPositions,
    AttentionShape attention,
    RopeConfig rope,
    NormKind norm,
    float normEpsilon,
    BlockForm block,
    MlpForm mlp,
    boolean tiedEmbeddings,
    Set<Integer> eosTokenIds,
    int bosTokenId) {}
