package dev.bulkgen.spark.cluster;

import dev.bulkgen.backend.cuda.CudaDriver;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import jcuda.driver.CUresult;
import jcuda.driver.JCudaDriver;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.apache.spark.api.plugin.SparkPlugin;

/** The emulated device of one executor, and of its replacement no more, fails in mid-run. */
public final class BrokenDevice implements SparkPlugin {
  /** A file that does not exist yet: who makes it has the broken device. */
  static final String MARK = "spark.test.broken.mark";

  private static final int FAIL_LAUNCH = 0x1003;
  private static final long LAUNCHES = 100;

  @Override
  public DriverPlugin driverPlugin() {
    return null;
  }

  @Override
  public ExecutorPlugin executorPlugin() {
    return new ExecutorPlugin() {
      @Override
      public void init(PluginContext context, Map<String, String> nothing) {
        try {
          Files.createFile(Path.of(context.conf().get(MARK)));
        } catch (FileAlreadyExistsException e) {
          return;
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
        CudaDriver.require();
        if (JCudaDriver.cuCtxSetLimit(FAIL_LAUNCH, LAUNCHES) != CUresult.CUDA_SUCCESS) {
          throw new IllegalStateException("this is no emulated device");
        }
      }
    };
  }
}
