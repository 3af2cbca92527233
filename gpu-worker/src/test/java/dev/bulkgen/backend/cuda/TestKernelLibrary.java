package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.Catalogue;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TestKernelLibrary {
  @TempDir private Path folder;
  private CudaContext context;
  private ModuleImages built;

  @BeforeEach
  void open() {
    context = EmulatedDevice.open();
    built = ModuleImages.ofDriver();
  }

  @AfterEach
  void close() {
    if (context != null) {
      context.close();
    }
  }

  @Test
  void testFamiliesThatWereNotBuiltAreMissed() throws IOException {
    put("norm", "norm");
    KernelLibrary library = load();
    assertEquals("rms_norm", library.kernel("rms_norm").signature().name());
    BulkgenException error =
        assertThrows(BulkgenException.class, () -> library.kernel("copy_blocks"));
    assertEquals(ErrorCode.DEVICE_UNAVAILABLE, error.code());
    assertEquals(
        "kernel copy_blocks was not built: "
            + folder
            + " has no copy"
            + ModuleImages.ofFolder(folder).suffix()
            + "; build where nvcc is, or use --backend cpu",
        error.getMessage());
    library.close();
  }

  @Test
  void testImageOfOtherKernelsIsRefused() throws IOException {
    put("norm", "copy");
    BulkgenException error = assertThrows(BulkgenException.class, this::load);
    assertTrue(error.getMessage().contains("rms_norm in norm"), error.getMessage());
    assertTrue(error.getMessage().contains("CUDA_ERROR_NOT_FOUND"), error.getMessage());
  }

  @Test
  void testBrokenImageIsRefused() throws IOException {
    Files.write(image("norm"), new byte[] {1, 2, 3, 4, 5, 6, 7, 8});
    BulkgenException error = assertThrows(BulkgenException.class, this::load);
    assertTrue(error.getMessage().contains("cuModuleLoadData of norm"), error.getMessage());
    assertEquals(ErrorCode.DEVICE_UNAVAILABLE, error.code(), error.getMessage());
  }

  @Test
  void testImagesOfAnotherCatalogueAreRefused() throws IOException {
    put("norm", "norm");
    Path hash = folder.resolve("catalogue.sha256");
    Files.writeString(hash, Catalogue.load().hash() + "\n");
    load().close();
    Files.writeString(hash, "0".repeat(64) + "\n");
    BulkgenException error = assertThrows(BulkgenException.class, this::load);
    assertEquals(ErrorCode.DEVICE_UNAVAILABLE, error.code());
    assertTrue(error.getMessage().contains("belong to another catalogue"), error.getMessage());
  }

  @Test
  void testKernelsForSmallerBlocksAreRefused() throws IOException {
    put("norm", "norm");
    String header;
    try (InputStream in = Catalogue.class.getResourceAsStream("cuda/arguments.h")) {
      header = new String(in.readAllBytes(), StandardCharsets.UTF_8);
    }
    String larger = header.replaceAll("(// kernel norm/rms_norm: NormArguments), \\d+", "$1, 1024");
    Catalogue other = Catalogue.parse("arguments.h", larger.getBytes(StandardCharsets.UTF_8));
    BulkgenException error = assertThrows(BulkgenException.class, () -> load(other));
    assertEquals(ErrorCode.DEVICE_UNAVAILABLE, error.code());
    assertTrue(error.getMessage().contains("the catalogue says 1024"), error.getMessage());
  }

  private KernelLibrary load() {
    return load(Catalogue.load());
  }

  private KernelLibrary load(Catalogue catalogue) {
    return KernelLibrary.load(context, catalogue, ModuleImages.ofFolder(folder));
  }

  private void put(String family, String source) throws IOException {
    Files.write(image(family), built.image(source).orElseThrow());
  }

  private Path image(String family) {
    return folder.resolve(family + ModuleImages.ofFolder(folder).suffix());
  }
}
