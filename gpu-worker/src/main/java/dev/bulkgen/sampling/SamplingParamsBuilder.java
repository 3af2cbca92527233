package dev.bulkgen.sampling;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.GenerationDefaults;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.Set;

/**
 * Sampling settings of which some may be unset. Precedence is spelled by {@link #orElse}: {@code
 * row.orElse(commandLine).orElse(settingsFile).orElse(of(generationDefaults)).build()}; what is
 * still unset then takes the default: temperature 1, everything else off.
 */
public final class SamplingParamsBuilder {
  private static final double MAX_TEMPERATURE = 100;
  private static final double MAX_PENALTY = 100;
  private static final int MAX_SAMPLES = 1024;
  private static final int MAX_STOPS = 64;

  /** Most likeliest tokens that can be reported. */
  public static final int MAX_LOGPROBS = 100;

  private Integer maxTokens;
  private Integer minTokens;
  private Double temperature;
  private Double topP;
  private Integer topK;
  private Double minP;
  private Double repetitionPenalty;
  private Double presencePenalty;
  private Double frequencyPenalty;
  private Long seed;
  private List<String> stop;
  private Set<Integer> stopTokenIds;
  private Boolean ignoreEos;
  private Integer n;
  private OptionalInt logprobs;

  /**
   * What the model recommends. {@code do_sample: false} is temperature 0. Its length limits are not
   * taken over: lengths are the user's, and no text ends early for a reason the user did not give.
   */
  public static SamplingParamsBuilder of(GenerationDefaults defaults) {
    SamplingParamsBuilder builder = new SamplingParamsBuilder();
    defaults.temperature().ifPresent(builder::temperature);
    defaults.topP().ifPresent(builder::topP);
    defaults.topK().ifPresent(builder::topK);
    defaults.minP().ifPresent(builder::minP);
    defaults.repetitionPenalty().ifPresent(builder::repetitionPenalty);
    if (defaults.doSample().isPresent() && !defaults.doSample().get()) {
      builder.temperature(0);
    }
    return builder;
  }

  /** All of these settings, to be gone before by others. */
  public static SamplingParamsBuilder of(SamplingParams params) {
    SamplingParamsBuilder builder = new SamplingParamsBuilder();
    params.maxTokens().ifPresent(builder::maxTokens);
    builder.logprobs = params.logprobs();
    return builder
        .minTokens(params.minTokens())
        .temperature(params.temperature())
        .topP(params.topP())
        .topK(params.topK())
        .minP(params.minP())
        .repetitionPenalty(params.repetitionPenalty())
        .presencePenalty(params.presencePenalty())
        .frequencyPenalty(params.frequencyPenalty())
        .seed(params.seed())
        .stop(params.stop())
        .stopTokenIds(params.stopTokenIds())
        .ignoreEos(params.ignoreEos())
        .n(params.n());
  }

  public SamplingParamsBuilder maxTokens(int value) {
    maxTokens = value;
    return this;
  }

  public SamplingParamsBuilder minTokens(int value) {
    minTokens = value;
    return this;
  }

  public SamplingParamsBuilder temperature(double value) {
    temperature = value;
    return this;
  }

  public SamplingParamsBuilder topP(double value) {
    topP = value;
    return this;
  }

  /** 0, or −1 as vLLM spells it, keeps all. */
  public SamplingParamsBuilder topK(int value) {
    topK = value == -1 ? 0 : value;
    return this;
  }

  public SamplingParamsBuilder minP(double value) {
    minP = value;
    return this;
  }

  public SamplingParamsBuilder repetitionPenalty(double value) {
    repetitionPenalty = value;
    return this;
  }

  public SamplingParamsBuilder presencePenalty(double value) {
    presencePenalty = value;
    return this;
  }

  public SamplingParamsBuilder frequencyPenalty(double value) {
    frequencyPenalty = value;
    return this;
  }

  public SamplingParamsBuilder seed(long value) {
    seed = value;
    return this;
  }

  public SamplingParamsBuilder stop(List<String> value) {
    stop = List.copyOf(value);
    return this;
  }

  public SamplingParamsBuilder stopTokenIds(Set<Integer> value) {
    stopTokenIds = Set.copyOf(value);
    return this;
  }

  public SamplingParamsBuilder ignoreEos(boolean value) {
    ignoreEos = value;
    return this;
  }

  public SamplingParamsBuilder n(int value) {
    n = value;
    return this;
  }

  public SamplingParamsBuilder logprobs(int value) {
    logprobs = OptionalInt.of(value);
    return this;
  }

  /** None are reported, whatever weaker settings say. */
  public SamplingParamsBuilder noLogprobs() {
    logprobs = OptionalInt.empty();
    return this;
  }

  /** These settings, the unset ones taken from {@code weaker}; neither is changed. */
  public SamplingParamsBuilder orElse(SamplingParamsBuilder weaker) {
    SamplingParamsBuilder merged = new SamplingParamsBuilder();
    merged.maxTokens = first(maxTokens, weaker.maxTokens);
    merged.minTokens = first(minTokens, weaker.minTokens);
    merged.temperature = first(temperature, weaker.temperature);
    merged.topP = first(topP, weaker.topP);
    merged.topK = first(topK, weaker.topK);
    merged.minP = first(minP, weaker.minP);
    merged.repetitionPenalty = first(repetitionPenalty, weaker.repetitionPenalty);
    merged.presencePenalty = first(presencePenalty, weaker.presencePenalty);
    merged.frequencyPenalty = first(frequencyPenalty, weaker.frequencyPenalty);
    merged.seed = first(seed, weaker.seed);
    merged.stop = first(stop, weaker.stop);
    merged.stopTokenIds = first(stopTokenIds, weaker.stopTokenIds);
    merged.ignoreEos = first(ignoreEos, weaker.ignoreEos);
    merged.n = first(n, weaker.n);
    merged.logprobs = first(logprobs, weaker.logprobs);
    return merged;
  }

  /**
   * @throws BulkgenException SETTING_INVALID naming every setting that is wrong
   */
  public SamplingParams build() {
    SamplingParams params =
        new SamplingParams(
            optional(maxTokens),
            first(minTokens, 0),
            first(temperature, 1.0),
            first(topP, 1.0),
            first(topK, 0),
            first(minP, 0.0),
            first(repetitionPenalty, 1.0),
            first(presencePenalty, 0.0),
            first(frequencyPenalty, 0.0),
            first(seed, 0L),
            first(stop, List.of()),
            first(stopTokenIds, Set.of()),
            first(ignoreEos, false),
            first(n, 1),
            first(logprobs, OptionalInt.empty()));
    List<String> mistakes = mistakes(params);
    if (!mistakes.isEmpty()) {
      throw new BulkgenException(ErrorCode.SETTING_INVALID, String.join("\n", mistakes));
    }
    return params;
  }

  /** Every mistake in {@code params}, each naming its setting; empty if there is none. */
  public static List<String> mistakes(SamplingParams params) {
    Mistakes mistakes = new Mistakes();
    mistakes.range("temperature", params.temperature(), 0, MAX_TEMPERATURE);
    mistakes.check(
        params.topP() > 0 && params.topP() <= 1,
        "top-p: %s is outside (0, 1]; 1 keeps all tokens",
        params.topP());
    mistakes.check(params.topK() >= 0, "top-k: %s is negative; 0 keeps all tokens", params.topK());
    mistakes.range("min-p", params.minP(), 0, 1);
    mistakes.check(
        params.repetitionPenalty() >= 1 / MAX_PENALTY && params.repetitionPenalty() <= MAX_PENALTY,
        "repetition-penalty: %s is outside [0.01, 100]; 1 is none",
        params.repetitionPenalty());
    mistakes.range("presence-penalty", params.presencePenalty(), -MAX_PENALTY, MAX_PENALTY);
    mistakes.range("frequency-penalty", params.frequencyPenalty(), -MAX_PENALTY, MAX_PENALTY);
    int most = params.maxTokens().orElse(Integer.MAX_VALUE);
    mistakes.check(most >= 1, "max-tokens: %s is less than 1", most);
    mistakes.check(params.minTokens() >= 0, "min-tokens: %s is negative", params.minTokens());
    mistakes.check(
        params.minTokens() <= Math.max(most, 0),
        "min-tokens: %s is more than max-tokens (%s)",
        params.minTokens(),
        most);
    mistakes.range("n", params.n(), 1, MAX_SAMPLES);
    mistakes.range("logprobs", params.logprobs().orElse(0), 0, MAX_LOGPROBS);
    mistakes.check(
        params.stop().size() <= MAX_STOPS,
        "stop: %s strings are given; use at most %s",
        params.stop().size(),
        MAX_STOPS);
    mistakes.check(
        params.stop().stream().noneMatch(String::isEmpty), "stop: a stop string is empty");
    mistakes.check(
        params.stopTokenIds().stream().allMatch(id -> id >= 0),
        "stop-token-ids: a token id is negative");
    return mistakes.found;
  }

  private static OptionalInt optional(Integer value) {
    return value == null ? OptionalInt.empty() : OptionalInt.of(value);
  }

  private static <T> T first(T strong, T weak) {
    return strong != null ? strong : weak;
  }

  private static final class Mistakes {
    private final List<String> found = new ArrayList<>();

    /** NaN is outside every range. */
    void range(String setting, double value, double min, double max) {
      check(
          value >= min && value <= max,
          "%s: %s is outside [%s, %s]",
          setting,
          number(value),
          number(min),
          number(max));
    }

    void check(boolean condition, String format, Object... arguments) {
      if (!condition) {
        found.add(String.format(Locale.ROOT, format, arguments));
      }
    }

    private static String number(double value) {
      return value == Math.rint(value) && Math.abs(value) < 1e15
          ? Long.toString((long) value)
          : Double.toString(value);
    }
  }
}
