package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.spark.config.TaskType;
import dev.bulkgen.spark.plugin.EngineFigures;
import dev.bulkgen.spark.plugin.EngineReport;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.spark.scheduler.SparkListenerExecutorRemoved;
import org.junit.jupiter.api.Test;

class TestEngineBoard {
  private final AtomicLong nanos = new AtomicLong();
  private final EngineBoard board = new EngineBoard(nanos::get);

  private static EngineReport report(String executor, long sequenceSteps, long places) {
    String plan = "budget of " + executor + "\n";
    return new EngineReport(
        executor,
        "host" + executor,
        1,
        new EngineFigures(
            "cpu", plan, sequenceSteps, places, 10, 100, 2.5, 3, 8, 6, 2, 5, 1, 0, 0));
  }

  private void seconds(long seconds) {
    nanos.addAndGet(seconds * 1_000_000_000);
  }

  private JobReport report(List<UnitTimes.Time> slowest, OptionalDouble price) {
    return new JobReport(
        TaskType.GENERATE,
        JobReport.Outcome.DONE,
        0,
        0,
        0,
        List.of(),
        0,
        1000,
        1,
        board.devices(),
        slowest,
        price);
  }

  @Test
  void testEveryExecutorTellsItsPlanOnce() {
    List<String> told = new ArrayList<>();
    board.note(report("1", 0, 0), told::add);
    board.note(report("2", 30, 100), told::add);
    board.note(report("1", 60, 100), told::add);
    board.note(report("1", 20, 40), told::add); // overtaken by a later one
    board.refresh(report("9", 20, 40)); // of another job
    assertEquals(
        List.of(
            "Memory plan of executor 1\n  budget of 1\n",
            "Memory plan of executor 2\n  budget of 2\n"),
        told);
    EngineFigures total = report(List.of(), OptionalDouble.empty()).engines().orElseThrow();
    assertEquals(0.45, total.occupancy());
    assertEquals("cpu", total.backend());
    assertEquals(20, total.peakCacheBytes());
    assertEquals(10, total.generatedTokens());
  }

  @Test
  void testAJobInOneProcessNamesNoExecutor() {
    List<String> told = new ArrayList<>();
    board.note(report("driver", 0, 0), told::add);
    assertEquals(List.of("Memory plan\n  budget of driver\n"), told);
  }

  @Test
  void testTheReportHoldsAllEngines() throws Exception {
    board.note(report("1", 10, 100), told -> {});
    board.note(report("2", 30, 100), told -> {});
    JobReport report = report(List.of(), OptionalDouble.empty());
    JsonNode json = new ObjectMapper().readTree(report.toJson());
    assertEquals(2, json.at("/engine/engines").asInt());
    assertEquals(0.2, json.at("/engine/batch_occupancy").asDouble());
    assertEquals(200, json.at("/engine/cache_bytes_planned").asLong());
    assertEquals(2.5, json.at("/engine/cache_bytes_per_token").asDouble());
    assertEquals(0.25, json.at("/engine/prefix_hit_rate").asDouble());
    assertEquals(2, json.at("/engine/swap_outs").asInt());
    assertEquals("host2", json.at("/devices/1/host").asText());
    assertTrue(json.at("/cost").isMissingNode(), json.toString());
    assertTrue(report.render().contains("cpu, 2 executors"), report.render());
  }

  @Test
  void testWhatAnEngineDidBeforeTheJobDoesNotCount() {
    board.note(report("1", 10, 100), told -> {});
    board.begin();
    board.note(report("1", 30, 120), told -> {});
    EngineFigures figures = board.devices().get(0).figures();
    assertEquals(20, figures.sequenceSteps());
    assertEquals(1, figures.occupancy());
    assertEquals(0, figures.generatedTokens());
  }

  /** Two executors for an hour each, one of them lost after half of it. */
  @Test
  void testDeviceTimeAndCost() throws Exception {
    board.note(report("1", 10, 100), told -> {});
    board.note(report("2", 10, 100), told -> {});
    board.begin();
    seconds(1800);
    board.onExecutorRemoved(new SparkListenerExecutorRemoved(0, "1", "killed"));
    seconds(1800);
    JobReport report = report(List.of(), OptionalDouble.of(2));
    assertEquals(1.5, report.deviceHours(), 1e-9);
    assertEquals(3, report.cost().orElseThrow(), 1e-9);
    assertEquals(1.5e6, report.deviceHoursPerBillionTokens().orElseThrow(), 1e-3);
    assertEquals(1000 / 5400.0, report.tokensPerDeviceSecond(), 1e-9);
    JsonNode json = new ObjectMapper().readTree(report.toJson());
    assertEquals(3, json.get("cost").asDouble(), 1e-9);
    assertEquals(1800, json.at("/devices/0/seconds").asDouble(), 1e-9);
    assertTrue(report.render().contains("1:30:00 h, 1,500,000.0 hours"), report.render());
  }

  @Test
  void testSlowestUnits() throws Exception {
    List<UnitTimes.Time> slowest = new ArrayList<>();
    for (int unit = 0; unit < 5; unit++) {
      slowest.add(new UnitTimes.Time(unit, "1", 10, 20, 9 - unit));
    }
    JobReport report = report(slowest, OptionalDouble.empty());
    JsonNode json = new ObjectMapper().readTree(report.toJson());
    assertEquals(5, json.get("slowest_units").size());
    assertTrue(report.render().contains("0 (9.0 s), 1 (8.0 s), 2 (7.0 s)"), report.render());
  }
}
