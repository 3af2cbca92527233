package dev.bulkgen.backend.cpu;

class TestScalarBackend extends AbstractTestCpuBackend {
  TestScalarBackend() {
    super(Arithmetic.SCALAR);
  }
}
