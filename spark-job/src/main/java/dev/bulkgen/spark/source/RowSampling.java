package dev.bulkgen.spark.source;

import com.fasterxml.jackson.databind.JsonNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiConsumer;

/** Sampling settings that a row brings itself, as JSON by the names peers use; they go first. */
final class RowSampling {
  static final String LOGPROBS = "logprobs";

  private static final int MOST_LISTED = 1024;

  private static final Map<String, BiConsumer<SamplingParamsBuilder, Value>> SETTINGS =
      Map.ofEntries(
          Map.entry("max_tokens", (builder, value) -> builder.maxTokens(value.integer())),
          Map.entry(
              "max_completion_tokens", (builder, value) -> builder.maxTokens(value.integer())),
          Map.entry("max_new_tokens", (builder, value) -> builder.maxTokens(value.integer())),
          Map.entry("min_tokens", (builder, value) -> builder.minTokens(value.integer())),
          Map.entry("temperature", (builder, value) -> builder.temperature(value.number())),
          Map.entry("top_p", (builder, value) -> builder.topP(value.number())),
          Map.entry("top_k", (builder, value) -> builder.topK(value.integer())),
          Map.entry("min_p", (builder, value) -> builder.minP(value.number())),
          Map.entry(
              "repetition_penalty", (builder, value) -> builder.repetitionPenalty(value.number())),
          Map.entry(
              "presence_penalty", (builder, value) -> builder.presencePenalty(value.number())),
          Map.entry(
              "frequency_penalty", (builder, value) -> builder.frequencyPenalty(value.number())),
          Map.entry("seed", (builder, value) -> builder.seed(value.whole())),
          Map.entry("stop", (builder, value) -> builder.stop(value.texts())),
          Map.entry("stop_token_ids", (builder, value) -> builder.stopTokenIds(value.integers())),
          Map.entry("ignore_eos", (builder, value) -> builder.ignoreEos(value.flag())),
          Map.entry("n", (builder, value) -> builder.n(value.integer())),
          Map.entry(LOGPROBS, RowSampling::logprobs));

  /** Names of one setting: a row gives one of them. */
  private static final List<String> LENGTHS =
      List.of("max_tokens", "max_completion_tokens", "max_new_tokens");

  private RowSampling() {}

  /** {@code false} goes before what the job asks for. */
  private static void logprobs(SamplingParamsBuilder builder, Value value) {
    if (value.json().isBoolean() && !value.flag()) {
      builder.noLogprobs();
    } else {
      builder.logprobs(value.integer());
    }
  }

  static boolean knows(String name) {
    return SETTINGS.containsKey(name);
  }

  /**
   * @param object null values in it count as not given
   * @throws BulkgenException REQUEST_INVALID naming the setting
   */
  static SamplingParamsBuilder read(Map<String, JsonNode> object) {
    SamplingParamsBuilder builder = new SamplingParamsBuilder();
    Optional<String> length = Optional.empty();
    for (Map.Entry<String, JsonNode> entry : object.entrySet()) {
      String name = entry.getKey();
      if (entry.getValue().isNull()) {
        continue;
      }
      if (!knows(name)) {
        throw invalid("%s: not a sampling setting", name);
      }
      if (LENGTHS.contains(name)) {
        if (length.isPresent()) {
          throw invalid("%s and %s say the same: give one", length.get(), name);
        }
        length = Optional.of(name);
      }
      SETTINGS.get(name).accept(builder, new Value(name, entry.getValue()));
    }
    return builder;
  }

  /**
   * The job's settings with the row's before them.
   *
   * @throws BulkgenException REQUEST_INVALID naming every setting that is wrong
   */
  static SamplingParams over(SamplingParams job, SamplingParamsBuilder row) {
    try {
      return row.orElse(SamplingParamsBuilder.of(job)).build();
    } catch (BulkgenException e) {
      throw new BulkgenException(ErrorCode.REQUEST_INVALID, e.getMessage().replace("\n", "; "), e);
    }
  }

  private static BulkgenException invalid(String message, Object... arguments) {
    return BulkgenException.of(ErrorCode.REQUEST_INVALID, message, arguments);
  }

  private record Value(String name, JsonNode json) {
    int integer() {
      long whole = whole();
      if (whole != (int) whole) {
        throw invalid("%s: %s is out of range", name, json);
      }
      return (int) whole;
    }

    long whole() {
      if (!json.isIntegralNumber() || !json.canConvertToLong()) {
        throw invalid("%s: %s is no whole number", name, json);
      }
      return json.asLong();
    }

    double number() {
      if (!json.isNumber()) {
        throw invalid("%s: %s is no number", name, json);
      }
      return json.asDouble();
    }

    boolean flag() {
      if (!json.isBoolean()) {
        throw invalid("%s: %s is neither true nor false", name, json);
      }
      return json.asBoolean();
    }

    List<String> texts() {
      List<String> texts = new ArrayList<>();
      for (JsonNode item : items()) {
        if (!item.isTextual()) {
          throw invalid("%s: %s is no text", name, item);
        }
        texts.add(item.asText());
      }
      return texts;
    }

    Set<Integer> integers() {
      Set<Integer> integers = new HashSet<>();
      for (JsonNode item : items()) {
        integers.add(new Value(name, item).integer());
      }
      return integers;
    }

    private List<JsonNode> items() {
      List<JsonNode> items = new ArrayList<>();
      if (json.isArray()) {
        json.forEach(items::add);
      } else {
        items.add(json);
      }
      if (items.size() > MOST_LISTED) {
        throw invalid("%s: %d values are too many", name, items.size());
      }
      return items;
    }
  }
}
