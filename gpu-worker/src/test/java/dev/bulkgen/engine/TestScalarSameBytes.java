package dev.bulkgen.engine;

import dev.bulkgen.backend.cpu.Arithmetic;
import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.engine.EngineGrid.Point;
import java.util.List;

/** In plain Java. */
class TestScalarSameBytes extends AbstractTestSameBytes {
  @Override
  protected EngineGrid.Opener opener() {
    return (weights, layout, capacity) ->
        CpuBackend.open(weights, layout, capacity, 2, Arithmetic.SCALAR);
  }

  @Override
  protected int rows() {
    return 8;
  }

  @Override
  protected int tokens() {
    return 20;
  }

  @Override
  protected List<Point> grid() {
    return List.of(new Point(8, 0, PrefixSharing.OFF, 96), new Point(8, 1, PrefixSharing.AUTO, 64));
  }

  @Override
  protected int streams() {
    return 2;
  }
}
