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
 * What is known of a finished unit; stands in its shard's footer. Only what follows from the rows
 * is here: a second attempt has to write the same bytes.
 *
 * @param rows input rows
 * @param outputRows rows of the shard: a sample each, or one for an error
 * @param errors failed rows by code
 * @param answersRight texts that begin with the expected answer
 * @param answersKnown rows that have an expected answer
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
    String checksum)
    implements Serializable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String PREFIX = "bulkgen.";

  public long failedRows() {
    return errors.values().stream().mapToLong(Long::longValue).sum();
  }

  /** For the footer, beside the digests that say which plan and settings they belong to. */
  public Map<String, String> toFooter(ShardIdentity identity) {
    Map<String, String> footer = new TreeMap<>();
    footer.put(PREFIX + "plan_digest", identity.planDigest());
    footer.put(PREFIX + "settings_digest", identity.settingsDigest());
    footer.put(PREFIX + "unit", String.valueOf(unit));
    footer.put(PREFIX + "rows", String.valueOf(rows));
    footer.put(PREFIX + "output_rows", String.valueOf(outputRows));
    footer.put(PREFIX + "prompt_tokens", String.valueOf(promptTokens));
    footer.put(PREFIX + "completion_tokens", String.valueOf(completionTokens));
    footer.put(PREFIX + "answers_right", String.valueOf(answersRight));
    footer.put(PREFIX + "answers_known", String.valueOf(answersKnown));
    try {
      footer.put(PREFIX + "errors", JSON.writeValueAsString(errors));
    } catch (JsonProcessingException e) {
      throw new IllegalStateException("a map of counts is always JSON", e);
    }
    return footer;
  }

  /** Empty where the footer is not of this plan, these settings, or not ours at all. */
  public static Optional<UnitFacts> fromFooter(Map<String, String> footer, ShardIdentity identity) {
    if (!identity.planDigest().equals(footer.get(PREFIX + "plan_digest"))
        || !identity.settingsDigest().equals(footer.get(PREFIX + "settings_digest"))) {
      return Optional.empty();
    }
    try {
      return Optional.of(
          new UnitFacts(
              Integer.parseInt(footer.get(PREFIX + "unit")),
              number(footer, "rows"),
              number(footer, "output_rows"),
              JSON.readValue(
                  footer.get(PREFIX + "errors"), new TypeReference<TreeMap<String, Long>>() {}),
              number(footer, "prompt_tokens"),
              number(footer, "completion_tokens"),
              number(footer, "answers_right"),
              number(footer, "answers_known"),
              footer.get(FileChecksum.KEY)));
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
        digits);
  }

  private static long number(Map<String, String> footer, String name) {
    return Long.parseLong(footer.get(PREFIX + name));
  }
}
