package dev.bulkgen.engine;

import dev.bulkgen.backend.cuda.CudaBackend;
import dev.bulkgen.backend.cuda.EmulatedDevice;
import dev.bulkgen.backend.cuda.Precision;
import dev.bulkgen.config.GemmChoice;
import dev.bulkgen.config.PrefixSharing;
import dev.bulkgen.engine.EngineGrid.Point;
import java.util.List;

/** On a device, where steps are planned before the last one's tokens are known. */
class TestCudaSameBytes extends AbstractTestSameBytes {
  @Override
  protected EngineGrid.Opener opener() {
    return (weights, layout, capacity) ->
        CudaBackend.open(
            EmulatedDevice.open(), weights, layout, capacity, Precision.ONE_PIECE, GemmChoice.OWN);
  }

  @Override
  protected int rows() {
    return 6;
  }

  @Override
  protected int tokens() {
    return 12;
  }

  @Override
  protected List<Point> grid() {
    return List.of(
        new Point(5, 100, PrefixSharing.OFF, EngineGrid.LONGEST),
        new Point(8, 0, PrefixSharing.OFF, 96),
        new Point(8, 1, PrefixSharing.AUTO, 64));
  }

  @Override
  protected int streams() {
    return 1;
  }
}
