package dev.bulkgen.cli;

import dev.bulkgen.backend.cuda.CompiledKernels;
import dev.bulkgen.backend.cuda.CublasProducts;
import dev.bulkgen.backend.cuda.CudaContext;
import dev.bulkgen.backend.cuda.CudaDevice;
import dev.bulkgen.backend.cuda.CudaDriver;
import dev.bulkgen.config.ByteSize;
import dev.bulkgen.error.BulkgenException;
import java.util.Optional;

/** The CUDA driver, its cards, and the kernels that were compiled for them. */
final class DeviceExamination {
  private static final int SHORT_HASH = 12;

  private DeviceExamination() {}

  static void examine(Findings findings) {
    Optional<CudaDriver.Unavailable> unavailable = CudaDriver.probe();
    CompiledKernels kernels = CompiledKernels.find();
    if (unavailable.isPresent()) {
      findings.found("CUDA", "not here: %s", unavailable.get().reason());
      findings.advise(
          "an NVIDIA card of compute capability 8.0 or higher and its driver: the GPU backend");
    } else {
      int version = CudaDriver.version();
      findings.found("CUDA", "driver for CUDA %d.%d", version / 1000, version % 1000 / 10);
      for (int ordinal = 0; ordinal < CudaDriver.deviceCount(); ordinal++) {
        examineCard(findings, kernels, ordinal);
      }
    }
    examineKernels(findings, kernels);
    examineCublas(findings);
  }

  private static void examineCard(Findings findings, CompiledKernels kernels, int ordinal) {
    CudaDevice card = CudaDevice.of(ordinal);
    findings.found(
        "card " + ordinal,
        "%s, sm_%d, %s, %d multiprocessors",
        card.name(),
        card.capability(),
        ByteSize.format(card.memoryBytes()),
        card.multiprocessors());
    try (CudaContext context = CudaContext.open(ordinal)) {
      findings.found(
          "",
          "%s free, the kernels load%s",
          ByteSize.format(context.freeBytes()),
          kernels.fitting(card.capability()).map(target -> " (" + target + ")").orElse(""));
    } catch (BulkgenException e) {
      findings.found("", "cannot be used: %s", e.getMessage());
      findings.advise("make card %d usable: %s", ordinal, e.getMessage());
    }
  }

  private static void examineKernels(Findings findings, CompiledKernels kernels) {
    String catalogue = "catalogue " + kernels.hash().substring(0, SHORT_HASH);
    if (kernels.families().isEmpty()) {
      findings.found("kernels", "none compiled in this jar, %s", catalogue);
      findings.advise("build where nvcc (CUDA 13) is: kernels for cards in the jar");
      return;
    }
    findings.found(
        "kernels",
        "%d families%s, %s",
        kernels.families().size(),
        kernels.targets().isEmpty() ? "" : " for " + String.join(" ", kernels.targets()),
        catalogue);
    if (!kernels.missing().isEmpty() || !kernels.isCurrent()) {
      findings.advise(
          "build again: %s",
          kernels.isCurrent()
              ? "no compiled kernels of " + String.join(", ", kernels.missing())
              : "the compiled kernels belong to another catalogue");
    }
  }

  private static void examineCublas(Findings findings) {
    if (CudaDriver.probe().isPresent()) {
      return;
    }
    Optional<String> unavailable = CublasProducts.unavailable();
    findings.found(
        "cuBLAS", "%s", unavailable.map(reason -> "not here: " + reason).orElse("loads"));
    if (unavailable.isPresent()) {
      findings.advise(
          "CUDA 12's cuBLAS: only for comparison with the own products, which need nothing");
    }
  }
}
