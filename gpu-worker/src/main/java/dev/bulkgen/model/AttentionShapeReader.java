package dev.bulkgen.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.OptionalInt;

/** Reads heads, their size and the sliding window out of config.json. */
final class AttentionShapeReader {
  private static final int MAX_HEADS = 1024;
  private static final int MAX_HEAD_DIM = 256;
  private static final int HEAD_DIM_STEP = 8;

  private final JsonFields fields;
  private final ModelFamily family;

  AttentionShapeReader(JsonFields fields, ModelFamily family) {
    this.fields = fields;
    this.family = family;
  }

  /**
   * @param hidden 0 if it is not known
   * @param layers 0 if it is not known
   */
  AttentionShape read(int hidden, int layers) {
    int heads = fields.integer("num_attention_heads", 1, MAX_HEADS);
    int kvHeads = kvHeads(heads);
    if (heads > 0 && kvHeads > 0 && heads % kvHeads != 0) {
      fields.invalid(
          "num_attention_heads %d is not a multiple of %s %d",
          heads,
          family.keys() == ModelFamily.Keys.FALCON ? "num_kv_heads" : "num_key_value_heads",
          kvHeads);
    }
    return new AttentionShape(
        heads, kvHeads, headDim(hidden, heads), window(layers), family.qkNorm());
  }

  private int kvHeads(int heads) {
    if (family.keys() == ModelFamily.Keys.LLAMA) {
      return fields.integer("num_key_value_heads", 1, MAX_HEADS, heads);
    }
    boolean grouped = fields.flag("new_decoder_architecture", false);
    if (!grouped && fields.flag("multi_query", true)) {
      return 1;
    }
    int kvHeads = fields.integer("num_kv_heads", 1, MAX_HEADS, heads);
    if (!grouped && kvHeads > 0 && kvHeads != heads) {
      fields.invalid(
          "num_kv_heads %d differs from num_attention_heads %d without new_decoder_architecture",
          kvHeads, heads);
    }
    return kvHeads;
  }

  private int headDim(int hidden, int heads) {
    OptionalInt named = fields.optionalInteger("head_dim", 1, ModelConfigReader.MAX_WIDTH);
    if (named.isEmpty()) {
      named = family.headDim();
    }
    if (hidden == 0 || heads == 0) {
      return 0;
    }
    if (named.isEmpty() && hidden % heads != 0) {
      fields.invalid(
          "hidden_size %d is not a multiple of num_attention_heads %d, and head_dim is missing",
          hidden, heads);
      return 0;
    }
    int headDim = named.orElse(hidden / heads);
    if (family.keys() == ModelFamily.Keys.FALCON && headDim * heads != hidden) {
      fields.invalid("head_dim %d x %d heads is not hidden_size %d", headDim, heads, hidden);
    }
    if (headDim % HEAD_DIM_STEP != 0 || headDim > MAX_HEAD_DIM) {
      fields.unsupported(
          "head size %d is not supported; supported are the multiples of %d up to %d",
          headDim, HEAD_DIM_STEP, MAX_HEAD_DIM);
    }
    return headDim;
  }

  private OptionalInt window(int layers) {
    int size =
        switch (family.window()) {
          case NONE -> 0;
          case MISTRAL ->
              fields.mentions("sliding_window") ? windowSize() : ModelFamily.MISTRAL_WINDOW;
          case QWEN -> fields.flag("use_sliding_window", false) ? windowSize() : 0;
        };
    int windowed = windowedLayers(layers, size);
    if (windowed != 0 && windowed != layers) {
      fields.unsupported(
          "a sliding window in %d of %d layers (max_window_layers, layer_types) is not supported;"
              + " it must be all or none",
          windowed, layers);
    }
    return windowed == 0 ? OptionalInt.empty() : OptionalInt.of(size);
  }

  private int windowSize() {
    return fields.optionalInteger("sliding_window", 1, Integer.MAX_VALUE).orElse(0);
  }

  private int windowedLayers(int layers, int size) {
    JsonNode types = fields.raw("layer_types");
    if (types.isArray()) {
      int windowed = 0;
      for (JsonNode type : types) {
        switch (type.asText()) {
          case "full_attention" -> {}
          case "sliding_attention" -> windowed++;
          default -> fields.unsupported("layer_types has %s, which is not supported", type);
        }
      }
      if (types.size() != layers) {
        fields.invalid("layer_types has %d entries for %d layers", types.size(), layers);
      }
      if (windowed > 0 && size == 0) {
        fields.invalid("layer_types has sliding_attention, but no sliding_window is set");
      }
      return windowed;
    }
    if (size == 0 || family.window() != ModelFamily.Window.QWEN) {
      return size == 0 ? 0 : layers;
    }
    return layers
        - Math.min(
            layers, fields.integer("max_window_layers", 0, ModelConfigReader.MAX_LAYERS, 28));
  }
}
