package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class TestPrivateLibraryFolder {
  private static Path temporary() {
    return Path.of(System.getProperty("java.io.tmpdir"));
  }

  /** Another thread may have asked for the folder just before the property went back. */
  @Test
  void testAnotherLibraryThatUnpacksMeanwhileFindsTheFolder() throws Exception {
    Path usual = temporary();
    Path other =
        PrivateLibraryFolder.during(
            () -> {
              Files.createFile(temporary().resolve("libJCudaDriver-12.6.0-linux-x86_64.so"));
              return Files.createFile(temporary().resolve("libzstd-jni.so"));
            });
    assertEquals(usual, temporary());
    assertNotEquals(usual, other.getParent());
    assertTrue(Files.exists(other));
    assertFalse(Files.exists(other.resolveSibling("libJCudaDriver-12.6.0-linux-x86_64.so")));
    Files.delete(Files.createTempFile(other.getParent(), "late", ".so"));
    Files.delete(other);
  }
}
