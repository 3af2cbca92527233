package dev.bulkgen.cli;

import dev.bulkgen.config.Suggestion;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * A card that need not be here, to plan for. What it has is an estimate.
 *
 * @param totalBytes as {@code cuDeviceTotalMem} reports it, which is less than the name says, and
 *     less than {@code nvidia-smi} does: the driver keeps some. The lowest "total capacity",
 *     rounded down, of some ten PyTorch messages for each card in public repositories; machines and
 *     drivers differ by some 100 MiB. Cards with GDDR memory lose a sixteenth of it to error
 *     correction, which is taken as off for RTX cards and as on for the others
 * @param capability compute capability as {@code 10 · major + minor}: NVIDIA's table of CUDA GPUs
 */
record NamedDevice(String name, long totalBytes, int capability) {
  /** About what a context and the compiled kernels take before free memory is measured. */
  private static final long CONTEXT_BYTES = 512L << 20;

  static final List<NamedDevice> ALL =
      List.of(
          of("b200", 178.3, 100),
          of("h200-141g", 139.7, 90),
          of("h100-94g", 93.0, 90),
          of("h100-80g", 79.1, 90),
          of("a100-80g", 79.1, 80),
          of("a100-40g", 39.3, 80),
          of("l40s", 44.3, 89),
          of("l40", 44.3, 89),
          of("l4", 22.0, 89),
          of("a40", 44.3, 86),
          of("a10", 22.0, 86),
          of("rtx6000-ada", 47.2, 89),
          of("rtx-a6000", 47.2, 86),
          of("rtx5090", 31.3, 120),
          of("rtx4090", 23.5, 89),
          of("rtx3090", 23.5, 86));

  private static NamedDevice of(String name, double gibibytes, int capability) {
    return new NamedDevice(name, (long) (gibibytes * (1L << 30)), capability);
  }

  /**
   * @throws BulkgenException SETTING_INVALID with the known names, the nearest first
   */
  static NamedDevice find(String typed) {
    String name = typed.trim().toLowerCase(Locale.ROOT).replace('_', '-');
    return ALL.stream()
        .filter(device -> device.name.equals(name))
        .findFirst()
        .orElseThrow(() -> unknown(typed));
  }

  private static BulkgenException unknown(String typed) {
    List<String> names = ALL.stream().map(NamedDevice::name).toList();
    Optional<String> nearest = Suggestion.nearest(typed, names);
    String sorted =
        names.stream()
            .sorted(Comparator.comparing(name -> !nearest.filter(name::equals).isPresent()))
            .collect(Collectors.joining(", "));
    return BulkgenException.of(
        ErrorCode.SETTING_INVALID,
        "device: '%s' is unknown: use %s; for another, leave it out and give --backend cuda and"
            + " --memory",
        typed,
        sorted);
  }

  /** Of which {@code memory-fraction} is the budget. */
  long freeBytes() {
    return totalBytes - CONTEXT_BYTES;
  }
}
