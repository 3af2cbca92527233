package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.cpu.CacheOracle;
import dev.bulkgen.backend.cpu.CacheOracle.Tokens;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.tensor.Float16;
import java.util.SplittableRandom;

/** A copy of an oracle's cache on the device. */
final class CacheOnDevice implements AutoCloseable {
  final DeviceMemory pages;
  final DeviceMemory windows;
  final CudaCacheView view;

  private final DeviceMemory table;

  CacheOnDevice(DeviceArrays arrays, CacheLayout layout, CacheOracle oracle, int maxPages) {
    pages = arrays.upload("pages", oracle.pages());
    windows = arrays.upload("windows", oracle.windows());
    table = arrays.upload("page table", oracle.pageTable(maxPages));
    view = new CudaCacheView(layout, pages.address(), windows.address(), table.address(), maxPages);
  }

  /** Random tokens; every fifth channel of keys is far larger, some groups are constant. */
  static Tokens tokens(CacheLayout layout, int count, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    float[][][] keys = new float[layout.kvHeads()][count][layout.headDim()];
    float[][][] values = new float[layout.kvHeads()][count][layout.headDim()];
    for (int head = 0; head < layout.kvHeads(); head++) {
      for (int t = 0; t < count; t++) {
        boolean flat = random.nextInt(11) == 0;
        for (int d = 0; d < layout.headDim(); d++) {
          float scale = d % 5 == 0 ? 8 : 1;
          keys[head][t][d] =
              d % 7 == 3 ? 0.75f : Float16.round((float) random.nextDouble(-scale, scale / 2));
          values[head][t][d] = flat ? -0.5f : Float16.round((float) random.nextDouble(-1, 2));
        }
      }
    }
    return new Tokens(keys, values);
  }

  @Override
  public void close() {
    pages.close();
    windows.close();
    table.close();
  }
}
