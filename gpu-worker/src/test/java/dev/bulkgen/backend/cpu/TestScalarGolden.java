package dev.bulkgen.backend.cpu;

import dev.bulkgen.backend.AbstractTestGolden;
import dev.bulkgen.backend.BackendSession;

class TestScalarGolden extends AbstractTestGolden {
  @Override
  protected BackendSession.Opener opener() {
    return (weights, layout, capacity, threads) ->
        CpuBackend.open(weights, layout, capacity, threads, Arithmetic.SCALAR);
  }

  @Override
  protected BackendSession.Opener unrounded() {
    return (weights, layout, capacity, threads) ->
        new CpuBackend(
            weights,
            new WorkspaceShape(weights.config(), layout, capacity, threads),
            Arithmetic.SCALAR,
            KvRounding.NONE);
  }
}
