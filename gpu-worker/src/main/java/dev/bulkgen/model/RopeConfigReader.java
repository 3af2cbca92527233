package dev.bulkgen.model;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * Rotary embedding of config.json: {@code rope_theta} and {@code rope_scaling}, or the newer {@code
 * rope_parameters} that holds both. Names and defaults as in the Transformers library's {@code
 * modeling_rope_utils}.
 */
final class RopeConfigReader {
  private static final double DEFAULT_THETA = 10_000;
  private static final double MIN_THETA = 2;
  private static final double MAX_THETA = 1e12;
  private static final double MAX_FACTOR = 10_000;
  private static final double MAX_BETA = 1e6;
  private static final Set<String> KNOWN = Set.of("default", "linear", "llama3", "yarn");
  private static final List<String> KEYS = List.of("rope_parameters", "rope_scaling");

  private final JsonFields fields;
  private final int maxPositions;

  /**
   * @param maxPositions {@code max_position_embeddings}
   */
  RopeConfigReader(JsonFields fields, int maxPositions) {
    this.fields = fields;
    this.maxPositions = maxPositions;
  }

  RopeConfig read() {
    Optional<JsonFields> scaling =
        KEYS.stream().filter(fields::has).findFirst().flatMap(fields::object);
    if (KEYS.stream().filter(fields::has).count() > 1
        && !fields.raw(KEYS.get(0)).equals(fields.raw(KEYS.get(1)))) {
      fields.invalid("rope_parameters and rope_scaling are both there and differ");
    }
    for (String key : KEYS) {
      for (JsonNode inner : fields.raw(key)) {
        if (inner.isObject()) {
          fields.unsupported("%s with other values for each kind of layer is not supported", key);
        }
      }
    }
    double outer = fields.number("rope_theta", MIN_THETA, MAX_THETA, DEFAULT_THETA);
    double theta =
        scaling.map(s -> s.number("rope_theta", MIN_THETA, MAX_THETA, outer)).orElse(outer);
    requireWholeHead(fields);
    scaling.ifPresent(this::requireWholeHead);
    return new RopeConfig(theta, scaling.map(this::scaling).orElse(new RopeConfig.None()));
  }

  private void requireWholeHead(JsonFields where) {
    if (where.number("partial_rotary_factor", 0, 1, 1) != 1) {
      where.unsupported(
          "partial_rotary_factor %s is not supported: the whole head is rotated",
          where.shown("partial_rotary_factor"));
    }
  }

  private RopeConfig.Scaling scaling(JsonFields s) {
    String type = s.text("rope_type").or(() -> s.text("type")).orElse("default");
    if (s.has("rope_type") && s.has("type") && !s.raw("rope_type").equals(s.raw("type"))) {
      s.invalid("rope_type %s and type %s differ", s.shown("rope_type"), s.shown("type"));
    }
    if (!s.has("rope_type") && !s.has("type") && s.has("factor")) {
      s.invalid("rope_type is missing beside factor %s", s.shown("factor"));
    }
    if (!KNOWN.contains(type)) {
      s.unsupported(
          "rope_type '%s' is not supported; supported are default, linear, llama3 and yarn", type);
    }
    return switch (type) {
      case "linear" -> new RopeConfig.Linear(s.number("factor", 1, MAX_FACTOR));
      case "llama3" -> llama3(s);
      case "yarn" -> yarn(s);
      default -> new RopeConfig.None();
    };
  }

  private RopeConfig.Scaling llama3(JsonFields s) {
    double low = s.number("low_freq_factor", 1e-3, MAX_FACTOR);
    double high = s.number("high_freq_factor", 1e-3, MAX_FACTOR);
    if (low > 0 && high > 0 && low >= high) {
      s.invalid("low_freq_factor %s is not below high_freq_factor %s", low, high);
    }
    return new RopeConfig.Llama3(
        s.number("factor", 1, MAX_FACTOR), low, high, originalPositions(s));
  }

  private int originalPositions(JsonFields s) {
    return s.integer("original_max_position_embeddings", 1, ModelConfigReader.MAX_POSITIONS);
  }

  private RopeConfig.Scaling yarn(JsonFields s) {
    String original = "original_max_position_embeddings";
    int positions =
        s.has(original)
            ? originalPositions(s)
            : fields.integer(original, 1, ModelConfigReader.MAX_POSITIONS, maxPositions);
    double factor = s.number("factor", 1, MAX_FACTOR);
    double fast = s.number("beta_fast", 1e-3, MAX_BETA, 32);
    double slow = s.number("beta_slow", 1e-3, MAX_BETA, 1);
    if (fast <= slow) {
      s.invalid("beta_fast %s is not above beta_slow %s", fast, slow);
    }
    if (!s.flag("truncate", true)) {
      s.unsupported("truncate false is not supported: the ramp begins and ends at whole pairs");
    }
    return new RopeConfig.Yarn(factor, fast, slow, positions, attentionFactor(s, factor));
  }

  private static double attentionFactor(JsonFields s, double factor) {
    if (s.has("attention_factor")) {
      return s.number("attention_factor", 1e-3, MAX_FACTOR);
    }
    double scale = s.number("mscale", 0, MAX_FACTOR, 0);
    double scaleAll = s.number("mscale_all_dim", 0, MAX_FACTOR, 0);
    return scale > 0 && scaleAll > 0
        ? magnitude(factor, scale) / magnitude(factor, scaleAll)
        : magnitude(factor, 1);
  }

  /** YaRN, equation 22 of arXiv 2309.00071: 0.1 · ln(factor) + 1, with a weight for the first. */
  private static double magnitude(double factor, double weight) {
    return factor <= 1 ? 1 : 0.1 * weight * StrictMath.log(factor) + 1;
  }
}
