package dev.bulkgen.backend.cpu;

class TestScalarGolden extends AbstractTestCpuGolden {
  TestScalarGolden() {
    super(Arithmetic.SCALAR);
  }
}
