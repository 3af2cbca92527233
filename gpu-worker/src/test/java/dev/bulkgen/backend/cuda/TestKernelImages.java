package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.Catalogue;
import dev.bulkgen.kernels.KernelSignature;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The build made what the catalogue promises. */
class TestKernelImages {
  private static final Catalogue CATALOGUE = Catalogue.load();

  @Test
  void testEveryKernelLoads() {
    try (CudaContext context = EmulatedDevice.open()) {
      context.kernels().requireAll();
      for (KernelSignature signature : CATALOGUE.kernels().values()) {
        Kernel kernel = context.kernels().kernel(signature.name());
        assertEquals(signature, kernel.signature());
      }
      System.out.printf(
          "%d kernels of %d families load%n",
          CATALOGUE.kernels().size(), CATALOGUE.families().size());
    }
  }

  /** Of the fat binaries, where this build has them: a card is not needed to see that they are. */
  @Test
  void testEveryFamilyHasAFatBinary() {
    ModuleImages images = ModuleImages.ofJar();
    Assumptions.assumeTrue(images.file("catalogue.sha256").isPresent(), "built without nvcc");
    byte[] hash = images.file("catalogue.sha256").orElseThrow();
    assertEquals(CATALOGUE.hash(), new String(hash, StandardCharsets.US_ASCII).strip());
    for (String family : CATALOGUE.families()) {
      assertTrue(images.image(family).map(image -> image.length > 0).orElse(false), family);
    }
  }

  @Test
  void testABuildThatLeftOneOutIsRefused(@TempDir Path folder) throws Exception {
    try (CudaContext context = EmulatedDevice.open()) {
      ModuleImages all = ModuleImages.ofDriver();
      List<String> families = CATALOGUE.families().stream().sorted().toList();
      String leftOut = families.get(families.size() - 1);
      for (String family : families.subList(0, families.size() - 1)) {
        Files.write(folder.resolve(family + all.suffix()), all.image(family).orElseThrow());
      }
      KernelLibrary library = KernelLibrary.load(context, CATALOGUE, ModuleImages.ofFolder(folder));
      BulkgenException error = assertThrows(BulkgenException.class, library::requireAll);
      assertEquals(ErrorCode.DEVICE_UNAVAILABLE, error.code());
      assertTrue(error.getMessage().contains(leftOut + all.suffix()), error.getMessage());
      library.close();
    }
  }
}
