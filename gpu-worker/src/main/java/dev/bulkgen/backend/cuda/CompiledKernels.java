package dev.bulkgen.backend.cuda;

import dev.bulkgen.kernels.Catalogue;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * What the build compiled of the kernels, without loading any of it.
 *
 * @param families that are there
 * @param missing families of the catalogue that are not
 * @param targets such as {@code sm_90} for machine code of compute capability 9.0 and {@code
 *     compute_80} for PTX; empty for the emulated device
 * @param hash of the catalogue of this jar
 * @param isCurrent whether the compiled kernels belong to that catalogue
 */
public record CompiledKernels(
    List<String> families,
    List<String> missing,
    List<String> targets,
    String hash,
    boolean isCurrent) {
  private static final String TARGET_FILE = "targets";
  private static final String MACHINE_CODE = "sm_";
  private static final String PTX = "compute_";

  /** For the driver of this process; where there is none, those in the jar. */
  public static CompiledKernels find() {
    return of(ModuleImages.ofDriver(), Catalogue.load());
  }

  static CompiledKernels of(ModuleImages images, Catalogue catalogue) {
    List<String> there = new ArrayList<>();
    List<String> missing = new ArrayList<>();
    for (String family : catalogue.families()) {
      (images.image(family).isPresent() ? there : missing).add(family);
    }
    String targets = images.file(TARGET_FILE).map(CompiledKernels::text).orElse("");
    boolean isCurrent =
        images.file(KernelLibrary.HASH_FILE).map(CompiledKernels::text).stream()
            .allMatch(catalogue.hash()::equals);
    return new CompiledKernels(
        List.copyOf(there),
        List.copyOf(missing),
        targets.isEmpty() ? List.of() : Arrays.asList(targets.split("\\s+")),
        catalogue.hash(),
        isCurrent);
  }

  private static String text(byte[] bytes) {
    return new String(bytes, StandardCharsets.US_ASCII).strip();
  }

  /**
   * What a card of compute capability {@code 10 · major + minor} would run: machine code of the
   * same major and no higher minor number, else PTX of no higher capability, which its driver
   * compiles at the first start (CUDA C++ programming guide, "Binary compatibility"). Empty if
   * nothing fits.
   */
  public Optional<String> fitting(int capability) {
    Optional<String> code =
        best(MACHINE_CODE, capability).filter(target -> number(target) / 10 == capability / 10);
    return code.isPresent() ? code : best(PTX, capability);
  }

  private Optional<String> best(String kind, int capability) {
    return targets.stream()
        .filter(target -> target.startsWith(kind) && number(target) <= capability)
        .max((a, b) -> Integer.compare(number(a), number(b)));
  }

  private static int number(String target) {
    return Integer.parseInt(target.substring(target.indexOf('_') + 1));
  }
}
