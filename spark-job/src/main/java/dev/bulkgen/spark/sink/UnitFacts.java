package dev.bulkgen.spark.sink;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.spark.storage.FileChecksum;
import java.io.Serializable;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What is known of a finished unit; stands in its shard. Only what follows from the rows is here: a
 * second attempt has to write the same bytes.
 *
 * @param rows input rows
 * @param outputRows rows of the shard: a sample or choice each, or one for an error
 * @param errors failed rows by code
 * @param answersRight texts that begin with the expected answer
 * @param answersKnown rows that have an expected answer
 * @param scores of scored completions
 * @param checksum of the shard's bytes, as {@link FileChecksum} says; empty until it is written
 */
public record UnitFacts(
    int unit,
    long rows,
    long outputRows,
    SortedMap<String, Long> errors,
    long promptTokens,
    long completionTokens,
    long answersRight,
    long answersKnown,
    ScoreSums scores,
    String checksum)
    implements Serializable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String PREFIX = "bulkgen.";

  public long failedRows() {
    return errors.values().stream().mapToLong(Long::longValue).sum();
  }

  /**
   * To be kept with the shard, beside the digests that say which plan and settings they belong to.
   */
  public Map<String, String> toValues(ShardIdentity identity) {
    Map<String, String> values = new TreeMap<>();
    values.put(PREFIX + "plan_digest", identity.planDigest());
    values.put(PREFIX + "settings_digest", identity.settingsDigest());
    values.put(PREFIX + "unit", String.valueOf(unit));
    values.put(PREFIX + "rows", String.valueOf(rows));
    values.put(PREFIX + "output_rows", String.valueOf(outputRows));
    values.put(PREFIX + "prompt_tokens", String.valueOf(promptTokens));
    values.put(PREFIX + "completion_tokens", String.valueOf(completionTokens));
    values.put(PREFIX + "answers_right", String.valueOf(answersRight));
    values.put(PREFIX + "answers_known", String.valueOf(answersKnown));
    if (!scores.equals(ScoreSums.NONE)) {
      values.put(PREFIX + "completions_scored", String.valueOf(scores.completions()));
      values.put(PREFIX + "completions_greedy", String.valueOf(scores.greedy()));
      values.put(PREFIX + "loglikelihood", String.valueOf(scores.logLikelihood()));
    }
    try {
      values.put(PREFIX + "errors", JSON.writeValueAsString(errors));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a map of counts is always JSON", e);
    }
    return values;
  }

  /** Empty where they are not of this plan, these settings, or not ours at all. */
  public static Optional<UnitFacts> fromValues(Map<String, String> values, ShardIdentity identity) {
    if (!identity.planDigest().equals(values.get(PREFIX + "plan_digest"))
        || !identity.settingsDigest().equals(values.get(PREFIX + "settings_digest"))) {
      return Optional.empty();
    }
    try {
      return Optional.of(
          new UnitFacts(
              Integer.parseInt(values.get(PREFIX + "unit")),
              number(values, "rows"),
              number(values, "output_rows"),
              JSON.readValue(
                  values.get(PREFIX + "errors"), new TypeReference<TreeMap<String, Long>>() {}),
              number(values, "prompt_tokens"),
              number(values, "completion_tokens"),
              number(values, "answers_right"),
              number(values, "answers_known"),
              scores(values),
              values.get(FileChecksum.KEY)));
    } catch (JsonProcessingException | RuntimeException e) {
      return Optional.empty();
    }
  }

  UnitFacts withChecksum(String digits) {
    return new UnitFacts(
        unit,
        rows,
        outputRows,
        errors,
        promptTokens,
        completionTokens,
        answersRight,
        answersKnown,
        scores,
        digits);
  }

  private static ScoreSums scores(Map<String, String> values) {
    return values.containsKey(PREFIX + "completions_scored")
        ? new ScoreSums(
            number(values, "completions_scored"),
            number(values, "completions_greedy"),
            Double.parseDouble(values.get(PREFIX + "loglikelihood")))
        : ScoreSums.NONE;
  }

  private static long number(Map<String, String> values, String name) {
    return Long.parseLong(values.get(PREFIX + name));
  }
}
