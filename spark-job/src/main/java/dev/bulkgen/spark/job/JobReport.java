package dev.bulkgen.spark.job;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.plugin.EngineFigures;
import dev.bulkgen.spark.sink.ScoreSums;
import dev.bulkgen.spark.sink.UnitFacts;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What a job came to.
 *
 * @param plannedRows all rows of the plan
 * @param reusedUnits finished by earlier runs
 * @param newTokens of completions, by this run
 * @param seconds that this run's units took
 * @param devices one for each executor that ended a unit or was asked before
 * @param slowest units of this run
 * @param pricePerHour of an executor
 */
public record JobReport(
    TaskType task,
    Outcome outcome,
    long plannedRows,
    int plannedUnits,
    int reusedUnits,
    List<UnitFacts> units,
    long newPromptTokens,
    long newTokens,
    double seconds,
    List<DeviceUse> devices,
    List<UnitTimes.Time> slowest,
    OptionalDouble pricePerHour) {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final double SECONDS_PER_HOUR = 3600;

  /** How it ended. */
  public enum Outcome {
    DONE,
    TOO_MANY_FAILED_ROWS,
    ROWS_MISSING
  }

  public JobReport {
    units = List.copyOf(units);
    devices = List.copyOf(devices);
    slowest = List.copyOf(slowest);
  }

  public long rows() {
    return units.stream().mapToLong(UnitFacts::rows).sum();
  }

  public long failedRows() {
    return units.stream().mapToLong(UnitFacts::failedRows).sum();
  }

  public SortedMap<String, Long> errors() {
    TreeMap<String, Long> errors = new TreeMap<>();
    units.forEach(
        unit -> unit.errors().forEach((code, count) -> errors.merge(code, count, Long::sum)));
    return errors;
  }

  long promptTokens() {
    return units.stream().mapToLong(UnitFacts::promptTokens).sum();
  }

  long completionTokens() {
    return units.stream().mapToLong(UnitFacts::completionTokens).sum();
  }

  long answersRight() {
    return units.stream().mapToLong(UnitFacts::answersRight).sum();
  }

  long answersKnown() {
    return units.stream().mapToLong(UnitFacts::answersKnown).sum();
  }

  /** Of all scored completions; none where texts were generated. */
  ScoreSums scores() {
    return ScoreSums.total(units.stream().map(UnitFacts::scores).toList());
  }

  /** Natural logarithm of a token's probability, on average; empty without scored tokens. */
  OptionalDouble meanLogLikelihood() {
    return task == TaskType.SCORE && completionTokens() > 0
        ? OptionalDouble.of(scores().logLikelihood() / completionTokens())
        : OptionalDouble.empty();
  }

  double rate(long tokens) {
    return seconds > 0 ? tokens / seconds : 0;
  }

  /**
   * @throws BulkgenException TOO_MANY_ROW_ERRORS if more rows failed than the job allows
   */
  public void requireDone(double maxErrorRate) {
    if (outcome != Outcome.DONE) {
      throw BulkgenException.of(
          ErrorCode.TOO_MANY_ROW_ERRORS,
          "stopped: %d of %d rows failed, more than max-error-rate %s; finished units are kept, see"
              + " the column 'error'",
          failedRows(),
          plannedRows,
          maxErrorRate);
    }
  }

  Optional<EngineFigures> engines() {
    return EngineFigures.total(devices.stream().map(DeviceUse::figures).toList());
  }

  /** Hours that executors were there while units ran, added up. */
  double deviceHours() {
    return devices.stream().mapToDouble(DeviceUse::seconds).sum() / SECONDS_PER_HOUR;
  }

  double tokensPerDeviceSecond() {
    double hours = deviceHours();
    return hours > 0 ? newTokens / (hours * SECONDS_PER_HOUR) : 0;
  }

  /** Empty where no completion has a token. */
  OptionalDouble deviceHoursPerBillionTokens() {
    return newTokens > 0
        ? OptionalDouble.of(deviceHours() / newTokens * 1e9)
        : OptionalDouble.empty();
  }

  /** Of this run; empty without a price. */
  OptionalDouble cost() {
    return pricePerHour.isPresent()
        ? OptionalDouble.of(pricePerHour.getAsDouble() * deviceHours())
        : OptionalDouble.empty();
  }

  /** A table for people. */
  public String render() {
    return new ReportTable(this).render();
  }

  public String toJson() {
    ObjectNode root = JSON.createObjectNode();
    root.put("task", task.spelling());
    root.put("outcome", outcome.name().toLowerCase(Locale.ROOT));
    root.put("rows_planned", plannedRows);
    root.put("rows_done", rows());
    root.put("rows_failed", failedRows());
    root.set("errors", JSON.valueToTree(errors()));
    root.put("units_planned", plannedUnits);
    root.put("units_run", units.size() - reusedUnits);
    root.put("units_reused", reusedUnits);
    root.put("prompt_tokens", promptTokens());
    root.put("completion_tokens", completionTokens());
    root.put("seconds", seconds);
    root.put("prompt_tokens_per_second", rate(newPromptTokens));
    root.put("completion_tokens_per_second", rate(newTokens));
    if (answersKnown() > 0) {
      root.put("answers_known", answersKnown());
      root.put("answers_right", answersRight());
    }
    addScores(root);
    addCost(root);
    engines().ifPresent(total -> addEngine(root.putObject("engine"), total));
    addDevices(root);
    addSlowest(root);
    return root.toPrettyString() + "\n";
  }

  private void addScores(ObjectNode root) {
    if (task == TaskType.SCORE) {
      root.put("completions_scored", scores().completions());
      root.put("completions_greedy", scores().greedy());
      root.put("loglikelihood", scores().logLikelihood());
    }
    meanLogLikelihood()
        .ifPresent(
            mean -> {
              root.put("loglikelihood_per_token", mean);
              root.put("perplexity_per_token", Math.exp(-mean));
            });
  }

  private void addCost(ObjectNode root) {
    root.put("device_hours", deviceHours());
    root.put("completion_tokens_per_device_second", tokensPerDeviceSecond());
    deviceHoursPerBillionTokens()
        .ifPresent(hours -> root.put("device_hours_per_billion_completion_tokens", hours));
    cost().ifPresent(cost -> root.put("cost", cost));
  }

  private void addEngine(ObjectNode node, EngineFigures figures) {
    node.put("engines", devices.size());
    node.put("backend", figures.backend());
    node.put("batch_occupancy", figures.occupancy());
    node.put("prefix_hit_rate", figures.prefixHits());
    node.put("cached_prompt_tokens", figures.cachedTokens());
    node.put("swap_outs", figures.swapOuts());
    node.put("cache_bytes_per_token", figures.cacheBytesPerToken());
    node.put("cache_bytes_peak", figures.peakCacheBytes());
    node.put("cache_bytes_planned", figures.plannedCacheBytes());
  }

  private void addDevices(ObjectNode root) {
    var list = root.putArray("devices");
    for (DeviceUse device : devices) {
      ObjectNode node = list.addObject();
      node.put("executor", device.executor());
      node.put("host", device.host());
      node.put("backend", device.figures().backend());
      node.put("seconds", device.seconds());
      node.put("prompt_tokens", device.figures().promptTokens());
      node.put("completion_tokens", device.figures().generatedTokens());
      node.put(
          task == TaskType.SCORE ? "prompt_tokens_per_second" : "completion_tokens_per_second",
          device.tokensPerSecond(task));
      node.put("batch_occupancy", device.figures().occupancy());
    }
  }

  private void addSlowest(ObjectNode root) {
    var list = root.putArray("slowest_units");
    for (UnitTimes.Time unit : slowest) {
      ObjectNode node = list.addObject();
      node.put("unit", unit.unit());
      node.put("executor", unit.executor());
      node.put("rows", unit.rows());
      node.put("completion_tokens", unit.completionTokens());
      node.put("seconds", unit.seconds());
    }
  }
}
