package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.AbstractTestBackend;
import dev.bulkgen.backend.BackendSession;

/** The contract of backends, on a device with activations in float32 precision. */
class TestCudaBackend extends AbstractTestBackend {
  @Override
  protected BackendSession.Opener opener() {
    return CudaSessions.opener(Precision.TWO_PIECES);
  }
}
