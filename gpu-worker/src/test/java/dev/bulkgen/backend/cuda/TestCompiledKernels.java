package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.bulkgen.kernels.Catalogue;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TestCompiledKernels {
  private static final Catalogue CATALOGUE = Catalogue.load();

  @TempDir Path folder;

  private CompiledKernels find() {
    return CompiledKernels.of(ModuleImages.ofFolder(folder), CATALOGUE);
  }

  @ParameterizedTest
  @CsvSource({
    "75, ''",
    "80, sm_80",
    "86, sm_86",
    "87, sm_86",
    "89, sm_89",
    "90, sm_90",
    "100, compute_80",
    "120, compute_80"
  })
  void testWhatACardWouldRun(int capability, String target) throws IOException {
    Files.writeString(folder.resolve("targets"), "compute_80 sm_80 sm_86 sm_89 sm_90\n");
    Optional<String> expected = target.isEmpty() ? Optional.empty() : Optional.of(target);
    assertEquals(expected, find().fitting(capability));
  }

  @Test
  void testNamesWhatIsThereAndWhatIsNot() throws IOException {
    Files.writeString(folder.resolve("matmul.so"), "code");
    CompiledKernels found = find();
    assertEquals(List.of("matmul"), found.families());
    assertTrue(found.missing().contains("norm"));
    assertEquals(CATALOGUE.families().size(), found.families().size() + found.missing().size());
    assertEquals(Optional.empty(), found.fitting(90));
  }

  @Test
  void testTellsAnotherCatalogue() throws IOException {
    assertTrue(find().isCurrent());
    Files.writeString(folder.resolve("catalogue.sha256"), CATALOGUE.hash() + "\n");
    assertTrue(find().isCurrent());
    Files.writeString(folder.resolve("catalogue.sha256"), "0123\n");
    assertFalse(find().isCurrent());
  }
}
