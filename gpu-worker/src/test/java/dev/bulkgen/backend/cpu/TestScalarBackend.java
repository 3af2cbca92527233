package dev.bulkgen.backend.cpu;

import dev.bulkgen.backend.AbstractTestBackend;
import dev.bulkgen.backend.BackendSession;

class TestScalarBackend extends AbstractTestBackend {
  @Override
  protected BackendSession.Opener opener() {
    return (weights, layout, capacity, threads) ->
        CpuBackend.open(weights, layout, capacity, threads, Arithmetic.SCALAR);
  }
}
