package dev.bulkgen.backend.cpu;

class TestVectorGolden extends AbstractTestCpuGolden {
  TestVectorGolden() {
    super(Arithmetic.VECTOR);
  }
}
