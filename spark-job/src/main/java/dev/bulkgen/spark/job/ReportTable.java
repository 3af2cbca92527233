package dev.bulkgen.spark.job;

import dev.bulkgen.config.ByteSize;
import dev.bulkgen.spark.plugin.EngineFigures;
import dev.bulkgen.spark.sink.ScoreSums;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** A report as people read it. */
final class ReportTable {
  private static final int MOST_DEVICES = 8;
  private static final int SLOWEST = 3;

  private final JobReport report;
  private final StringBuilder table = new StringBuilder();

  ReportTable(JobReport report) {
    this.report = report;
  }

  String render() {
    long failures = report.failedRows();
    String failed =
        failures == 0 ? "none failed" : String.format(Locale.ROOT, "%,d failed", failures);
    line("rows", "%,d of %,d, %s", report.rows(), report.plannedRows(), failed);
    report.errors().forEach((code, count) -> line("  " + code, "%,d", count));
    int run = report.units().size() - report.reusedUnits();
    line("units", "%,d run, %,d reused", run, report.reusedUnits());
    line(
        "prompt tokens",
        "%,d (%,.0f/s)",
        report.promptTokens(),
        report.rate(report.newPromptTokens()));
    line(
        report.task().tokens(),
        "%,d (%,.0f/s)",
        report.completionTokens(),
        report.rate(report.newTokens()));
    line("time", "%s", Durations.show(report.seconds()));
    report.engines().ifPresent(this::engines);
    devices();
    cost();
    slowest();
    if (report.answersKnown() > 0) {
      long right = report.answersRight();
      long known = report.answersKnown();
      line("answers right", "%,d of %,d (%.1f %%)", right, known, 100.0 * right / known);
    }
    scores();
    return table.toString();
  }

  private void scores() {
    ScoreSums scores = report.scores();
    if (scores.completions() == 0) {
      return;
    }
    line(
        "greedy",
        "%,d of %,d completions (%.1f %%)",
        scores.greedy(),
        scores.completions(),
        100.0 * scores.greedy() / scores.completions());
    String aside = report.failedRows() > 0 ? ", failed rows aside" : "";
    report
        .meanLogLikelihood()
        .ifPresent(
            mean -> {
              line("log-likelihood", "%,.3f, %.5f a token%s", scores.logLikelihood(), mean, aside);
              line("perplexity", "%.5g a token", Math.exp(-mean));
            });
  }

  private void engines(EngineFigures total) {
    int count = report.devices().size();
    String several = count > 1 ? String.format(Locale.ROOT, ", %,d executors", count) : "";
    line("backend", "%s%s", total.backend(), several);
    line("batch occupancy", "%.0f %%", 100 * total.occupancy());
    line("prefix hits", "%.0f %% of the prompts' tokens", 100 * total.prefixHits());
    if (total.swapOuts() > 0) {
      line("swapped out", "%,d sequences made room for others", total.swapOuts());
    }
    line("cache a token", "%s", ByteSize.format(Math.round(total.cacheBytesPerToken())));
    line(
        "cache, peak",
        "%s in use, of %s planned",
        ByteSize.format(total.peakCacheBytes()),
        ByteSize.format(total.plannedCacheBytes()));
  }

  private void devices() {
    List<DeviceUse> devices = report.devices();
    if (devices.size() < 2) {
      return;
    }
    for (DeviceUse device : devices.subList(0, Math.min(MOST_DEVICES, devices.size()))) {
      line(
          "  executor " + device.executor(),
          "%,.0f tokens/s for %s, batch %.0f %% full, on %s",
          device.tokensPerSecond(report.task()),
          Durations.show(device.seconds()),
          100 * device.figures().occupancy(),
          device.host());
    }
    if (devices.size() > MOST_DEVICES) {
      line("  others", "%,d, in report.json", devices.size() - MOST_DEVICES);
    }
  }

  private void cost() {
    report
        .deviceHoursPerBillionTokens()
        .ifPresent(
            hours ->
                line(
                    "device time",
                    "%s, %,.1f hours for 10^9 %s",
                    Durations.show(3600 * report.deviceHours()),
                    hours,
                    report.task().tokens()));
    report.cost().ifPresent(cost -> line("cost", "%,.2f", cost));
  }

  private void slowest() {
    List<UnitTimes.Time> slowest = report.slowest();
    if (slowest.size() > SLOWEST) {
      line(
          "slowest units",
          "%s",
          slowest.subList(0, SLOWEST).stream()
              .map(unit -> unit.unit() + " (" + Durations.show(unit.seconds()) + ")")
              .collect(Collectors.joining(", ")));
    }
  }

  private void line(String name, String format, Object... values) {
    String value = String.format(Locale.ROOT, format, values);
    table.append(String.format(Locale.ROOT, "  %-18s %s%n", name, value));
  }
}
