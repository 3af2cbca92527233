package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.BackendSession;
import dev.bulkgen.config.GemmChoice;

/** Opens CUDA backends on the device that tests run on. */
final class CudaSessions {
  private CudaSessions() {}

  static BackendSession.Opener opener(Precision precision) {
    return (weights, layout, capacity, threads) ->
        CudaBackend.open(
            EmulatedDevice.open(), weights, layout, capacity, precision, GemmChoice.OWN);
  }
}
