package dev.bulkgen.backend.cpu;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class TestCpuRoofs {
  // From a slow emulated core to more than any core of today: wrong units fall outside.
  private static void assertPlausible(String what, double least, double perSecond, double most) {
    assertTrue(perSecond > least && perSecond < most, what + ": " + perSecond);
  }

  @Test
  void figuresHaveTheRightUnits() {
    assertPlausible("read", 1e8, CpuRoofs.readBytesPerSecond(1, 64L << 20), 1e12);
    assertPlausible("copy", 1e8, CpuRoofs.copyBytesPerSecond(1, 64L << 20), 1e12);
    assertPlausible("multiply-add", 1e8, CpuRoofs.multiplyAddsPerSecond(2), 1e13);
  }

  @Test
  void noThreadsAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> CpuRoofs.copyBytesPerSecond(0, 64L << 20));
  }
}
