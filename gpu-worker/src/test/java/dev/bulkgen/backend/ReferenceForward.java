package dev.bulkgen.backend;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.model.SafetensorsFile;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;

/**
 * The forward pass of the supported families in double precision and in the plainest form, after
 * the modelling code of the Transformers library. It reads config.json and the tensors by itself
 * and shares no arithmetic, no names and no defaults with the engine, so that a mistake in any of
 * them shows.
 */
public final class ReferenceForward {
  private final JsonNode config;
  private final SafetensorsFile tensors;
  private final boolean falcon;
  private final int heads;
  private final int kvHeads;
  private final int headDim;

  private ReferenceForward(JsonNode config, SafetensorsFile tensors) {
    this.config = config;
    this.tensors = tensors;
    falcon = config.path("model_type").asText().equals("falcon");
    heads = config.path("num_attention_heads").asInt();
    int hidden = config.path("hidden_size").asInt();
    headDim = config.path("head_dim").asInt(hidden / heads);
    kvHeads = falcon ? falconKvHeads() : config.path("num_key_value_heads").asInt(heads);
  }

  /** Logits of every token: [tokens][vocabulary]. */
  public static double[][] logits(Path folder, int... tokens) {
    try {
      JsonNode config = new ObjectMapper().readTree(folder.resolve("config.json").toFile());
      SafetensorsFile tensors = SafetensorsFile.open(folder.resolve("model.safetensors"));
      return new ReferenceForward(config, tensors).run(tokens);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private int falconKvHeads() {
    if (flag("new_decoder_architecture", false)) {
      return config.path("num_kv_heads").asInt(heads);
    }
    return flag("multi_query", true) ? 1 : heads;
  }

  private boolean flag(String key, boolean otherwise) {
    return config.path(key).asBoolean(otherwise);
  }

  private double[][] run(int[] tokens) {
    String prefix = falcon ? "transformer." : "model.";
    String embeddings = falcon ? "transformer.word_embeddings" : "model.embed_tokens";
    int hidden = config.path("hidden_size").asInt();
    double[] table = tensor(embeddings + ".weight");
    double[][] x = new double[tokens.length][];
    for (int t = 0; t < tokens.length; t++) {
      x[t] = Arrays.copyOfRange(table, tokens[t] * hidden, (tokens[t] + 1) * hidden);
    }
    for (int layer = 0; layer < config.path("num_hidden_layers").asInt(); layer++) {
      String base = prefix + (falcon ? "h." : "layers.") + layer + ".";
      x = falcon ? falconLayer(base, x) : gatedLayer(base, x);
    }
    double[][] last = norm(prefix + (falcon ? "ln_f" : "norm"), x);
    boolean tied = flag("tie_word_embeddings", falcon);
    return linear(tied ? embeddings : "lm_head", last);
  }

  private double[][] gatedLayer(String base, double[][] x) {
    double[][] normed = norm(base + "input_layernorm", x);
    String attention = base + "self_attn.";
    double[][] q = linear(attention + "q_proj", normed);
    double[][] k = linear(attention + "k_proj", normed);
    double[][] v = linear(attention + "v_proj", normed);
    if (config.path("model_type").asText().equals("qwen3")) {
      normHeads(attention + "q_norm", q);
      normHeads(attention + "k_norm", k);
    }
    double[][] h = sum(x, linear(attention + "o_proj", attend(q, k, v)));
    double[][] mlpIn = norm(base + "post_attention_layernorm", h);
    double[][] gate = map(linear(base + "mlp.gate_proj", mlpIn), z -> z / (1 + Math.exp(-z)));
    double[][] up = linear(base + "mlp.up_proj", mlpIn);
    for (int t = 0; t < gate.length; t++) {
      for (int i = 0; i < gate[t].length; i++) {
        gate[t][i] *= up[t][i];
      }
    }
    return sum(h, linear(base + "mlp.down_proj", gate));
  }

  private double[][] falconLayer(String base, double[][] x) {
    boolean parallel = flag("parallel_attn", true);
    boolean grouped = flag("new_decoder_architecture", false);
    boolean twoNorms = grouped && config.path("num_ln_in_parallel_attn").asInt(2) == 2;
    double[][] normed = norm(base + (twoNorms ? "ln_attn" : "input_layernorm"), x);
    double[][] fused = linear(base + "self_attention.query_key_value", normed);
    int group = heads / kvHeads;
    double[][] q = new double[x.length][heads * headDim];
    double[][] k = new double[x.length][kvHeads * headDim];
    double[][] v = new double[x.length][kvHeads * headDim];
    for (int t = 0; t < x.length; t++) {
      for (int h = 0; h < kvHeads; h++) {
        int from = h * (group + 2) * headDim;
        int queries = group * headDim;
        System.arraycopy(fused[t], from, q[t], h * queries, queries);
        System.arraycopy(fused[t], from + queries, k[t], h * headDim, headDim);
        System.arraycopy(fused[t], from + queries + headDim, v[t], h * headDim, headDim);
      }
    }
    double[][] attended = linear(base + "self_attention.dense", attend(q, k, v));
    if (!parallel) {
      double[][] h = sum(x, attended);
      return sum(h, falconMlp(base, norm(base + "post_attention_layernorm", h)));
    }
    return sum(sum(x, attended), falconMlp(base, twoNorms ? norm(base + "ln_mlp", x) : normed));
  }

  private double[][] falconMlp(String base, double[][] x) {
    boolean exact = config.path("activation").asText("gelu").equals("gelu");
    double[][] inner = linear(base + "mlp.dense_h_to_4h", x);
    return linear(
        base + "mlp.dense_4h_to_h",
        map(inner, exact ? ReferenceForward::gelu : ReferenceForward::geluTanh));
  }

  /** x · Φ(x), the error function by its Maclaurin series or, far out, 1. */
  private static double gelu(double x) {
    double z = x / Math.sqrt(2);
    double term = z;
    double erf = z;
    for (int n = 1; n < 200 && Math.abs(z) < 6; n++) {
      term *= -z * z / n;
      erf += term / (2 * n + 1);
    }
    return x / 2 * (1 + (Math.abs(z) < 6 ? erf * 2 / Math.sqrt(Math.PI) : Math.signum(z)));
  }

  private static double geluTanh(double x) {
    return x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
  }

  private double[][] attend(double[][] q, double[][] k, double[][] v) {
    rotate(q);
    rotate(k);
    boolean windowed = config.path("model_type").asText().equals("mistral");
    windowed |= flag("use_sliding_window", false);
    int window = windowed ? config.path("sliding_window").asInt(Integer.MAX_VALUE) : 1 << 30;
    double[][] out = new double[q.length][heads * headDim];
    for (int t = 0; t < q.length; t++) {
      for (int h = 0; h < heads; h++) {
        int query = h * headDim;
        int key = h / (heads / kvHeads) * headDim;
        double[] weights = new double[t + 1];
        double total = 0;
        for (int s = Math.max(0, t - window + 1); s <= t; s++) {
          double dot = 0;
          for (int d = 0; d < headDim; d++) {
            dot += q[t][query + d] * k[s][key + d];
          }
          weights[s] = Math.exp(dot / Math.sqrt(headDim));
          total += weights[s];
        }
        for (int s = 0; s <= t; s++) {
          for (int d = 0; d < headDim; d++) {
            out[t][query + d] += weights[s] / total * v[s][key + d];
          }
        }
      }
    }
    return out;
  }

  /** {@code x · cos + rotate_half(x) · sin} for all heads of all rows. */
  private void rotate(double[][] rows) {
    double[] inverse = inverseFrequencies();
    double magnitude = attentionFactor();
    int half = headDim / 2;
    for (int t = 0; t < rows.length; t++) {
      for (int at = 0; at < rows[t].length; at += headDim) {
        for (int i = 0; i < half; i++) {
          double cos = Math.cos(t * inverse[i]) * magnitude;
          double sin = Math.sin(t * inverse[i]) * magnitude;
          double a = rows[t][at + i];
          double b = rows[t][at + half + i];
          rows[t][at + i] = a * cos - b * sin;
          rows[t][at + half + i] = b * cos + a * sin;
        }
      }
    }
  }

  private JsonNode scaling() {
    return config.has("rope_parameters")
        ? config.path("rope_parameters")
        : config.path("rope_scaling");
  }

  private double theta() {
    return scaling().path("rope_theta").asDouble(config.path("rope_theta").asDouble(10_000));
  }

  private double[] inverseFrequencies() {
    JsonNode scaling = scaling();
    double factor = scaling.path("factor").asDouble(1);
    double[] inverse = new double[headDim / 2];
    for (int i = 0; i < inverse.length; i++) {
      double plain = Math.pow(theta(), -2.0 * i / headDim);
      inverse[i] =
          switch (scaling.path("rope_type").asText("default")) {
            case "linear" -> plain / factor;
            case "llama3" -> llama3(scaling, factor, plain);
            case "yarn" -> yarn(scaling, factor, plain, i);
            default -> plain;
          };
    }
    return inverse;
  }

  private static double llama3(JsonNode scaling, double factor, double plain) {
    double low = scaling.path("low_freq_factor").asDouble();
    double high = scaling.path("high_freq_factor").asDouble();
    double original = scaling.path("original_max_position_embeddings").asDouble();
    double wavelength = 2 * Math.PI / plain;
    if (wavelength < original / high) {
      return plain;
    }
    if (wavelength > original / low) {
      return plain / factor;
    }
    double smooth = (original / wavelength - low) / (high - low);
    return (1 - smooth) * plain / factor + smooth * plain;
  }

  private double yarn(JsonNode scaling, double factor, double plain, int pair) {
    double original =
        scaling
            .path("original_max_position_embeddings")
            .asDouble(config.path("max_position_embeddings").asDouble());
    double low = Math.floor(correction(scaling.path("beta_fast").asDouble(32), original));
    double high = Math.ceil(correction(scaling.path("beta_slow").asDouble(1), original));
    low = Math.max(low, 0);
    high = Math.min(high, headDim - 1);
    high += low == high ? 0.001 : 0;
    double ramp = Math.min(1, Math.max(0, (pair - low) / (high - low)));
    double kept = 1 - ramp;
    return plain / factor * (1 - kept) + plain * kept;
  }

  private double correction(double turns, double original) {
    return headDim * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(theta()));
  }

  private double attentionFactor() {
    JsonNode scaling = scaling();
    double factor = scaling.path("factor").asDouble(1);
    if (!scaling.path("rope_type").asText().equals("yarn")) {
      return 1;
    }
    if (scaling.has("attention_factor")) {
      return scaling.path("attention_factor").asDouble();
    }
    if (scaling.has("mscale") && scaling.has("mscale_all_dim")) {
      return magnitude(factor, scaling.path("mscale").asDouble())
          / magnitude(factor, scaling.path("mscale_all_dim").asDouble());
    }
    return magnitude(factor, 1);
  }

  private static double magnitude(double factor, double weight) {
    return factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
  }

  private void normHeads(String name, double[][] rows) {
    for (double[] row : rows) {
      for (int at = 0; at < row.length; at += headDim) {
        double[] head = norm(name, new double[][] {Arrays.copyOfRange(row, at, at + headDim)})[0];
        System.arraycopy(head, 0, row, at, headDim);
      }
    }
  }

  /** Layer norm where the family has it, else RMS norm. */
  private double[][] norm(String name, double[][] rows) {
    double[] weight = tensor(name + ".weight");
    double[] bias = falcon ? tensor(name + ".bias") : new double[weight.length];
    double epsilon =
        falcon
            ? config.path("layer_norm_epsilon").asDouble(1e-5)
            : config.path("rms_norm_eps").asDouble(1e-6);
    double[][] out = new double[rows.length][];
    for (int t = 0; t < rows.length; t++) {
      double mean = falcon ? Arrays.stream(rows[t]).average().orElseThrow() : 0;
      double square =
          Arrays.stream(rows[t]).map(x -> (x - mean) * (x - mean)).average().orElseThrow();
      out[t] = new double[weight.length];
      for (int i = 0; i < weight.length; i++) {
        out[t][i] = (rows[t][i] - mean) / Math.sqrt(square + epsilon) * weight[i] + bias[i];
      }
    }
    return out;
  }

  /** With a bias where the checkpoint has one. */
  private double[][] linear(String name, double[][] rows) {
    double[] weight = tensor(name + ".weight");
    int in = rows[0].length;
    int width = weight.length / in;
    boolean biased = tensors.tensor(name + ".bias").isPresent();
    double[] bias = biased ? tensor(name + ".bias") : new double[width];
    double[][] out = new double[rows.length][width];
    for (int t = 0; t < rows.length; t++) {
      for (int o = 0; o < width; o++) {
        double sum = bias[o];
        for (int i = 0; i < in; i++) {
          sum += weight[o * in + i] * rows[t][i];
        }
        out[t][o] = sum;
      }
    }
    return out;
  }

  private double[] tensor(String name) {
    float[] values = tensors.tensor(name).orElseThrow().toFloats();
    double[] wide = new double[values.length];
    Arrays.setAll(wide, i -> values[i]);
    return wide;
  }

  private static double[][] map(double[][] rows, DoubleUnaryOperator function) {
    return Arrays.stream(rows)
        .map(row -> Arrays.stream(row).map(function).toArray())
        .toArray(double[][]::new);
  }

  private static double[][] sum(double[][] a, double[][] b) {
    double[][] out = new double[a.length][a[0].length];
    for (int t = 0; t < a.length; t++) {
      for (int i = 0; i < a[t].length; i++) {
        out[t][i] = a[t][i] + b[t][i];
      }
    }
    return out;
  }
}
