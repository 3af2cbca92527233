package dev.bulkgen.engine;

import dev.bulkgen.backend.Backend;
import dev.bulkgen.backend.CacheCapacity;
import dev.bulkgen.backend.cpu.CpuBackend;
import dev.bulkgen.cache.CacheLayout;
import dev.bulkgen.cache.MemoryDemand.WeightPlacement;
import dev.bulkgen.config.BackendChoice;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.model.ModelConfig;
import dev.bulkgen.model.ModelWeights;

/** The one place that knows which backends there are and chooses among them. */
final class BackendFactory {
  private BackendFactory() {}

  /** What AUTO comes to on this machine. */
  static BackendChoice resolve(BackendChoice choice) {
    return choice == BackendChoice.AUTO ? BackendChoice.CPU : choice;
  }

  /**
   * @throws BulkgenException DEVICE_UNAVAILABLE if this machine or version has no such backend
   */
  static void requireAvailable(BackendChoice choice) {
    if (resolve(choice) == BackendChoice.CUDA) {
      throw BulkgenException.of(
          ErrorCode.DEVICE_UNAVAILABLE,
          "backend: this version has no CUDA backend; set it to auto or cpu");
    }
  }

  static Backend open(
      BackendChoice choice,
      ModelWeights weights,
      CacheLayout layout,
      CacheCapacity capacity,
      int threads) {
    requireAvailable(choice);
    return CpuBackend.open(weights, layout, capacity, threads);
  }

  static WeightPlacement placement(BackendChoice choice) {
    return resolve(choice) == BackendChoice.CUDA
        ? WeightPlacement.RESIDENT
        : WeightPlacement.MAPPED;
  }

  /** Bytes of activations and staging for a capacity; of a device, those of one CPU thread. */
  static long workspaceBytes(
      BackendChoice choice,
      ModelConfig model,
      CacheLayout layout,
      CacheCapacity capacity,
      int threads) {
    int workers = resolve(choice) == BackendChoice.CPU ? threads : 1;
    return CpuBackend.workspaceBytes(model, layout, capacity, workers);
  }
}
