package dev.bulkgen.backend.cpu;

class TestVectorBackend extends AbstractTestCpuBackend {
  TestVectorBackend() {
    super(Arithmetic.VECTOR);
  }
}
