package dev.bulkgen.spark.job;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.bulkgen.spark.plugin.EngineFigures;
import dev.bulkgen.spark.plugin.EngineReport;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class TestEngineBoard {

  private static EngineReport report(String executor, long sequenceSteps, long places) {
    return new EngineReport(
        executor,
        new EngineFigures(
            "cpu", "budget of " + executor + "\n", sequenceSteps, places, 10, 100, 7, 5));
  }

  @Test
  void testEveryExecutorTellsItsPlanOnce() {
    EngineBoard board = new EngineBoard();
    List<String> told = new ArrayList<>();
    board.note(report("1", 0, 0), told::add);
    board.note(report("2", 30, 100), told::add);
    board.note(report("1", 60, 100), told::add);
    board.note(report("1", 20, 40), told::add); // overtaken by a later one
    assertEquals(
        List.of(
            "Memory plan of executor 1\n  budget of 1\n",
            "Memory plan of executor 2\n  budget of 2\n"),
        told);
    EngineFigures total = EngineFigures.total(board.figures()).orElseThrow();
    assertEquals(0.45, total.occupancy());
    assertEquals("cpu", total.backend());
    assertEquals(20, total.peakCacheBytes());
    assertEquals(10, total.generatedTokens());
  }

  @Test
  void testAJobInOneProcessNamesNoExecutor() {
    List<String> told = new ArrayList<>();
    new EngineBoard().note(report("driver", 0, 0), told::add);
    assertEquals(List.of("Memory plan\n  budget of driver\n"), told);
  }

  @Test
  void testTheReportHoldsAllEngines() throws Exception {
    EngineBoard board = new EngineBoard();
    board.note(report("1", 10, 100), told -> {});
    board.note(report("2", 30, 100), told -> {});
    JobReport report =
        new JobReport(JobReport.Outcome.DONE, 0, 0, 0, List.of(), 0, 0, 1, board.figures());
    JsonNode engine = new ObjectMapper().readTree(report.toJson()).get("engine");
    assertEquals(2, engine.get("engines").asInt());
    assertEquals(0.2, engine.get("batch_occupancy").asDouble());
    assertEquals(200, engine.get("cache_bytes_planned").asLong());
    assertTrue(report.render().contains("cpu, 2 executors"), report.render());
  }
}
