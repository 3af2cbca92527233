package dev.bulkgen.spark.plugin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import org.junit.jupiter.api.Test;

class TestAssignedGpu {
  private static BulkgenException refused(String... addresses) {
    return assertThrows(BulkgenException.class, () -> AssignedGpu.number(addresses));
  }

  @Test
  void testOneAddressIsTheDevice() {
    assertEquals(3, AssignedGpu.number("3"));
  }

  @Test
  void testSeveralAreRefusedWithTheSettingsToChange() {
    BulkgenException several = refused("0", "1");
    assertEquals(ErrorCode.SETTING_INVALID, several.code());
    assertTrue(several.getMessage().contains("GPUs 0, 1"), several.getMessage());
    assertTrue(
        several.getMessage().contains("spark.executor.resource.gpu.amount=1"),
        several.getMessage());
    assertTrue(
        several.getMessage().contains("spark.task.resource.gpu.amount"), several.getMessage());
  }

  @Test
  void testAnAddressThatIsNoNumberIsRefused() {
    BulkgenException name = refused("GPU-5d1b");
    assertEquals(ErrorCode.SETTING_INVALID, name.code());
    assertTrue(name.getMessage().contains("discoveryScript"), name.getMessage());
  }
}
