package dev.bulkgen.backend.cpu;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.lang.reflect.Constructor;
import java.util.function.Supplier;
import org.apache.logging.log4j.LogManager;
import org.apache.logging.log4j.Logger;

/**
 * The one place that chooses between the scalar and the vectorized kernels. The vectorized class is
 * named by a string, because linking it where the module is absent would fail.
 */
final class CpuKernelsProvider {
  private static final Logger LOG = LogManager.getLogger(CpuKernelsProvider.class);
  private static final String MODULE = "jdk.incubator.vector";
  private static final String VECTOR_KERNELS = "dev.bulkgen.backend.cpu.VectorKernels";

  private CpuKernelsProvider() {}

  /** VECTOR where its module is readable; else SCALAR and one line in the log. */
  static Arithmetic best() {
    if (ModuleLayer.boot().findModule(MODULE).isPresent()) {
      return Arithmetic.VECTOR;
    }
    LOG.warn(
        "computing with plain loops, several times slower: this JVM was started without"
            + " --add-modules={}; add it to the java options",
        MODULE);
    return Arithmetic.SCALAR;
  }

  /**
   * Makes kernels, one instance for each thread.
   *
   * @throws BulkgenException SETTING_INVALID if VECTOR is asked for and its module is absent
   */
  static Supplier<CpuKernels> of(Arithmetic arithmetic) {
    if (arithmetic == Arithmetic.SCALAR) {
      return ScalarKernels::new;
    }
    if (ModuleLayer.boot().findModule(MODULE).isEmpty()) {
      throw BulkgenException.of(
          ErrorCode.SETTING_INVALID,
          "vectorized arithmetic needs the module %s; add --add-modules=%s to the java options",
          MODULE,
          MODULE);
    }
    try {
      Constructor<?> constructor = Class.forName(VECTOR_KERNELS).getDeclaredConstructor();
      return () -> instance(constructor);
    } catch (ReflectiveOperationException | LinkageError e) {
      throw unusable(e);
    }
  }

  private static CpuKernels instance(Constructor<?> constructor) {
    try {
      return (CpuKernels) constructor.newInstance();
    } catch (ReflectiveOperationException | LinkageError e) {
      throw unusable(e);
    }
  }

  private static BulkgenException unusable(Throwable cause) {
    return new BulkgenException(
        ErrorCode.INTERNAL, "the vectorized kernels do not load (" + cause + ")", cause);
  }
}
