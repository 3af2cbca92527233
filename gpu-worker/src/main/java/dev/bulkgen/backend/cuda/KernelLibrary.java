package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.Catalogue;
import dev.bulkgen.kernels.KernelSignature;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUmodule;
import jcuda.driver.JCudaDriver;

/** The compiled kernels of a context, loaded and compared with the catalogue. */
public final class KernelLibrary {
  static final String HASH_FILE = "catalogue.sha256";

  private final CudaContext context;
  private final Catalogue catalogue;
  private final ModuleImages images;
  private final List<CUmodule> modules = new ArrayList<>();
  private final Map<String, Kernel> kernels = new HashMap<>();

  private KernelLibrary(CudaContext context, Catalogue catalogue, ModuleImages images) {
    this.context = context;
    this.catalogue = catalogue;
    this.images = images;
  }

  /** Loads every family that was built. */
  static KernelLibrary load(CudaContext context, Catalogue catalogue, ModuleImages images) {
    KernelLibrary library = new KernelLibrary(context, catalogue, images);
    library.checkHash();
    try {
      for (String family : catalogue.families()) {
        images.image(family).ifPresent(image -> library.loadFamily(family, image));
      }
      return library;
    } catch (RuntimeException | Error e) {
      Cleanup cleanup = new Cleanup();
      cleanup.run(library::close);
      cleanup.addTo(e);
      throw e;
    }
  }

  public Catalogue catalogue() {
    return catalogue;
  }

  /**
   * @throws BulkgenException DEVICE_UNAVAILABLE if the build made no such kernel
   */
  public Kernel kernel(String name) {
    Kernel kernel = kernels.get(name);
    if (kernel == null) {
      throw missing(name);
    }
    return kernel;
  }

  /**
   * Refuses a build that left kernels out, before anything large is loaded.
   *
   * @throws BulkgenException DEVICE_UNAVAILABLE naming the first kernel that the build did not make
   */
  public void requireAll() {
    catalogue.kernels().keySet().forEach(this::kernel);
  }

  private BulkgenException missing(String name) {
    Optional<KernelSignature> signature = catalogue.kernel(name);
    if (signature.isEmpty()) {
      return BulkgenException.of(ErrorCode.INTERNAL, "the catalogue has no kernel %s", name);
    }
    return BulkgenException.of(
        ErrorCode.DEVICE_UNAVAILABLE,
        "kernel %s was not built: %s has no %s%s; build where nvcc is, or use --backend cpu",
        name,
        images.description(),
        signature.get().family(),
        images.suffix());
  }

  private void checkHash() {
    Optional<byte[]> found = images.file(HASH_FILE);
    if (found.isEmpty()) {
      return;
    }
    String hash = new String(found.get(), StandardCharsets.US_ASCII).strip();
    if (!hash.equals(catalogue.hash())) {
      throw BulkgenException.of(
          ErrorCode.DEVICE_UNAVAILABLE,
          "the compiled kernels in %s belong to another catalogue (%s, here %s): build again",
          images.description(),
          hash,
          catalogue.hash());
    }
  }

  private void loadFamily(String family, byte[] image) {
    CUmodule module = new CUmodule();
    CudaErrors.check(
        JCudaDriver.cuModuleLoadData(module, image), "cuModuleLoadData", family + images.suffix());
    modules.add(module);
    for (KernelSignature signature : catalogue.kernels().values()) {
      if (signature.family().equals(family)) {
        CUfunction function = new CUfunction();
        CudaErrors.check(
            JCudaDriver.cuModuleGetFunction(function, module, signature.name()),
            "cuModuleGetFunction",
            signature.name() + " in " + family + images.suffix());
        checkThreads(signature, function);
        kernels.put(signature.name(), new Kernel(context, signature, function));
      }
    }
  }

  // Asking also makes the driver load the kernel, which it would else do at its first launch: maybe
  // while a graph is captured.
  private static void checkThreads(KernelSignature signature, CUfunction function) {
    int[] most = new int[1];
    CudaErrors.check(
        JCudaDriver.cuFuncGetAttribute(
            most, CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, function),
        "cuFuncGetAttribute",
        signature.name());
    if (most[0] < signature.threads()) {
      throw BulkgenException.of(
          ErrorCode.DEVICE_UNAVAILABLE,
          "kernel %s was compiled for blocks of %d threads, the catalogue says %d: build again",
          signature.name(),
          most[0],
          signature.threads());
    }
  }

  void close() {
    kernels.clear();
    Cleanup cleanup = new Cleanup();
    for (CUmodule module : modules) {
      cleanup.run(
          () -> {
            int code = JCudaDriver.cuModuleUnload(module);
            CudaErrors.checkRelease(code, "cuModuleUnload", "kernels");
          });
    }
    modules.clear();
    cleanup.finish();
  }
}
