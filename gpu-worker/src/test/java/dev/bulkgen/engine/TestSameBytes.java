package dev.bulkgen.engine;

import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.engine.EngineGrid.Point;
import java.util.ArrayList;
import java.util.List;

/** On the CPU. */
class TestSameBytes extends AbstractTestSameBytes {
  @Override
  protected EngineGrid.Opener opener() {
    return (weights, layout, capacity) -> CpuBackend.open(weights, layout, capacity, 2);
  }

  @Override
  protected int rows() {
    return 16;
  }

  @Override
  protected int tokens() {
    return 26;
  }

  @Override
  protected List<Point> grid() {
    List<Point> points = new ArrayList<>();
    for (int maxBatch : new int[] {1, 8}) {
      for (int spare : new int[] {0, 5, 100}) {
        for (PrefixSharing sharing : PrefixSharing.values()) {
          for (int prefillTokens : new int[] {64, EngineGrid.LONGEST}) {
            points.add(new Point(maxBatch, spare, sharing, prefillTokens));
          }
        }
      }
    }
    return points;
  }

  @Override
  protected int streams() {
    return 8;
  }
}
