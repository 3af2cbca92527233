package dev.bulkgen.sampling;

import dev.bulkgen.config.Setting;
import dev.bulkgen.config.Settings;
import java.util.List;
import java.util.Set;

/** The settings of sampling, by the names peers use. Ranges are checked together, at the end. */
public final class SamplingSettings {
  private static final String FROM_MODEL = "generation_config.json, else ";

  public static final Setting<Integer> MAX_TOKENS =
      count("max-tokens", "Most tokens to generate for a row.")
          .withDescribedDefault("to the end token or the model's length");
  public static final Setting<Integer> MIN_TOKENS =
      count("min-tokens", "End tokens and stops are held back until so many tokens are there.")
          .withDefault("0");
  public static final Setting<Double> TEMPERATURE =
      Setting.number("temperature", "Flattens or sharpens the distribution; 0 is greedy.")
          .withDescribedDefault(FROM_MODEL + "1");
  public static final Setting<Double> TOP_P =
      Setting.number("top-p", "Draw from the likeliest tokens that make up this mass.")
          .withDescribedDefault(FROM_MODEL + "1");
  public static final Setting<Integer> TOP_K =
      count("top-k", "Draw from so many likeliest tokens; 0 is all.")
          .withDescribedDefault(FROM_MODEL + "0");
  public static final Setting<Double> MIN_P =
      Setting.number("min-p", "Leave out tokens below this share of the likeliest one.")
          .withDescribedDefault(FROM_MODEL + "0");
  public static final Setting<Double> REPETITION_PENALTY =
      Setting.number("repetition-penalty", "Divides the logits of tokens seen; 1 is none.")
          .withDescribedDefault(FROM_MODEL + "1");
  public static final Setting<Double> PRESENCE_PENALTY =
      Setting.number("presence-penalty", "Taken from the logit of a generated token.")
          .withDefault("0");
  public static final Setting<Double> FREQUENCY_PENALTY =
      Setting.number("frequency-penalty", "Taken once for every time a token was generated.")
          .withDefault("0");
  public static final Setting<Long> SEED =
      Setting.longInteger("seed", "Of the job; a row's draws also depend on its key.")
          .withDefault("0");
  public static final Setting<List<String>> STOP =
      Setting.texts("stop", "Text that ends a completion and is left out of it; may be repeated.")
          .withDescribedDefault("none");
  public static final Setting<List<Integer>> STOP_TOKEN_IDS =
      Setting.integers(
              "stop-token-ids",
              0,
              Integer.MAX_VALUE,
              "Token id that ends a completion; may be repeated.")
          .withDescribedDefault("none");
  public static final Setting<Boolean> IGNORE_EOS =
      Setting.flag("ignore-eos", "Generate on after an end token.").withDefault("false");
  public static final Setting<Integer> N = count("n", "Samples per prompt.").withDefault("1");
  public static final Setting<Integer> LOGPROBS =
      count(
              "logprobs",
              "Tell each token's log-probability, and those of so many likeliest tokens beside it.")
          .withDescribedDefault("none");

  /** In the order of the reference page. */
  public static final List<Setting<?>> ALL =
      List.of(
          MAX_TOKENS,
          MIN_TOKENS,
          TEMPERATURE,
          TOP_P,
          TOP_K,
          MIN_P,
          REPETITION_PENALTY,
          PRESENCE_PENALTY,
          FREQUENCY_PENALTY,
          SEED,
          STOP,
          STOP_TOKEN_IDS,
          IGNORE_EOS,
          N,
          LOGPROBS);

  private SamplingSettings() {}

  /** What is given in {@code settings}, for {@link SamplingParamsBuilder#orElse}. */
  public static SamplingParamsBuilder toBuilder(Settings settings) {
    SamplingParamsBuilder builder = new SamplingParamsBuilder();
    settings.given(MAX_TOKENS).ifPresent(builder::maxTokens);
    settings.given(MIN_TOKENS).ifPresent(builder::minTokens);
    settings.given(TEMPERATURE).ifPresent(builder::temperature);
    settings.given(TOP_P).ifPresent(builder::topP);
    settings.given(TOP_K).ifPresent(builder::topK);
    settings.given(MIN_P).ifPresent(builder::minP);
    settings.given(REPETITION_PENALTY).ifPresent(builder::repetitionPenalty);
    settings.given(PRESENCE_PENALTY).ifPresent(builder::presencePenalty);
    settings.given(FREQUENCY_PENALTY).ifPresent(builder::frequencyPenalty);
    settings.given(SEED).ifPresent(builder::seed);
    settings.given(STOP).ifPresent(builder::stop);
    settings.given(STOP_TOKEN_IDS).ifPresent(ids -> builder.stopTokenIds(Set.copyOf(ids)));
    settings.given(IGNORE_EOS).ifPresent(builder::ignoreEos);
    settings.given(N).ifPresent(builder::n);
    settings.given(LOGPROBS).ifPresent(builder::logprobs);
    return builder;
  }

  private static Setting<Integer> count(String name, String description) {
    return Setting.integer(name, Integer.MIN_VALUE, Integer.MAX_VALUE, description);
  }
}
