package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.CpuKernels.LANES;
import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.halves;

import dev.bulkgen.tensor.Float16;

/** From rows of float16, as caches keep them, to the panels that products read. */
final class VectorHalfPanels {
  private VectorHalfPanels() {}

  /** {@link CpuKernels#widenPanels}. */
  static void widen(
      short[] source,
      int offset,
      int rows,
      int width,
      float[] panels,
      int panelOffset,
      int panelStride) {
    int whole = width / LANES;
    for (int panel = 0; panel < whole; panel++) {
      int from = offset + panel * LANES;
      int to = panelOffset + panel * panelStride;
      for (int m = 0; m < rows; m++) {
        for (int lane = 0; lane < LANES; lane += WIDTH) {
          halves(source, from + m * width + lane).intoArray(panels, to + m * LANES + lane);
        }
      }
    }
    if (whole * LANES == width) {
      return;
    }
    int from = offset + whole * LANES;
    int to = panelOffset + whole * panelStride;
    for (int m = 0; m < rows; m++) {
      for (int lane = 0; lane < LANES; lane++) {
        boolean isChannel = whole * LANES + lane < width;
        panels[to + m * LANES + lane] =
            isChannel ? Float16.toFloat(source[from + m * width + lane]) : 0f;
      }
    }
  }
}
