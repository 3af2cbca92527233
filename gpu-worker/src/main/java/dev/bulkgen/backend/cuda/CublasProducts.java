package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.tensor.DType;
import java.util.Optional;
import jcuda.Pointer;
import jcuda.cudaDataType;
import jcuda.driver.JCudaDriver;
import jcuda.jcublas.JCublas2;
import jcuda.jcublas.cublasComputeType;
import jcuda.jcublas.cublasGemmAlgo;
import jcuda.jcublas.cublasHandle;
import jcuda.jcublas.cublasOperation;
import jcuda.jcublas.cublasStatus;
import jcuda.runtime.cudaStream_t;

/**
 * The same products as {@link MatmulKernels} by NVIDIA's cuBLAS, where it is installed. Its order
 * of sums may change with the number of rows, so whoever uses it gives up P1.
 */
public final class CublasProducts implements PlainProducts {
  private static final String LIBRARY = "libcublas.so.12";
  private static final Pointer ZERO = Pointer.to(new float[] {0});
  private static final Pointer ONE = Pointer.to(new float[] {1});

  private static boolean tried;
  private static String reason;

  private final cublasHandle handle = new cublasHandle();

  private CublasProducts() {
    check(JCublas2.cublasCreate(handle), "cublasCreate");
  }

  /** Why there is no cuBLAS here, in words for the user; empty where it loads. */
  public static synchronized Optional<String> unavailable() {
    Optional<CudaDriver.Unavailable> driver = CudaDriver.probe();
    if (driver.isPresent()) {
      return Optional.of(driver.get().reason());
    }
    if (!tried) {
      tried = true;
      reason = tryToLoad();
    }
    return Optional.ofNullable(reason);
  }

  // Whatever goes wrong while foreign libraries load is an answer here, errors included.
  private static String tryToLoad() {
    try {
      PrivateLibraryFolder.during(
          () -> {
            JCublas2.initialize();
            return null;
          });
      return CudaDriver.isEmulated() ? LIBRARY + " does not run on the emulated device" : null;
    } catch (Throwable failure) {
      return LIBRARY + " cannot be loaded";
    }
  }

  /**
   * For the context of the calling thread.
   *
   * @throws BulkgenException DEVICE_UNAVAILABLE where cuBLAS is not there
   */
  public static CublasProducts open() {
    require();
    return new CublasProducts();
  }

  /**
   * @throws BulkgenException DEVICE_UNAVAILABLE with the reason where cuBLAS is not there
   */
  public static void require() {
    unavailable()
        .ifPresent(
            found -> {
              throw BulkgenException.of(
                  ErrorCode.DEVICE_UNAVAILABLE,
                  "no cuBLAS: %s; install that of CUDA 12, or leave gemm at own",
                  found);
            });
  }

  /** {@code out[m][n] = Σ_k x[m][k] · weight[n][k]}, floats [rows][outStride]; no bias. */
  @Override
  public void store(
      CudaStream stream, Pieces x, int rows, DeviceMatrix weight, long out, int outStride) {
    multiply(stream, x, rows, weight, out, outStride, ZERO);
  }

  /** As above, added to {@code out}. */
  @Override
  public void add(
      CudaStream stream, Pieces x, int rows, DeviceMatrix weight, long out, int outStride) {
    multiply(stream, x, rows, weight, out, outStride, ONE);
  }

  // A matrix by rows is its transpose by columns, as cuBLAS wants them.
  private void multiply(
      CudaStream stream,
      Pieces x,
      int rows,
      DeviceMatrix weight,
      long out,
      int outStride,
      Pointer beta) {
    if (x.count() * weight.numbers().count() != 1 || weight.bias() != 0) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "cuBLAS takes one piece and no bias: %s, %s", x, weight);
    }
    int type = x.type() == DType.BF16 ? cudaDataType.CUDA_R_16BF : cudaDataType.CUDA_R_16F;
    check(JCublas2.cublasSetStream(handle, new cudaStream_t(stream.handle)), "cublasSetStream");
    check(
        JCublas2.cublasGemmEx_new(
            handle,
            cublasOperation.CUBLAS_OP_T,
            cublasOperation.CUBLAS_OP_N,
            weight.columns(),
            rows,
            weight.depth(),
            ONE,
            new DevicePointer().plus(weight.numbers().address()),
            type,
            weight.depth(),
            new DevicePointer().plus(x.address()),
            type,
            x.stride(),
            beta,
            new DevicePointer().plus(out),
            cudaDataType.CUDA_R_32F,
            outStride,
            cublasComputeType.CUBLAS_COMPUTE_32F,
            cublasGemmAlgo.CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx");
  }

  private static void check(int code, String call) {
    if (code == cublasStatus.CUBLAS_STATUS_ALLOC_FAILED) {
      throw BulkgenException.of(
          ErrorCode.DEVICE_OUT_OF_MEMORY,
          "%s finds no memory beside the budget; lower the memory fraction, or leave gemm at own",
          call);
    }
    if (code != cublasStatus.CUBLAS_STATUS_SUCCESS) {
      // Of a lost device the library says nothing but that it failed.
      CudaErrors.check(JCudaDriver.cuCtxSynchronize(), call);
      throw BulkgenException.of(
          ErrorCode.INTERNAL, "%s failed: %s", call, cublasStatus.stringFor(code));
    }
  }

  @Override
  public void close() {
    int code = JCublas2.cublasDestroy(handle);
    if (!CudaErrors.isSticky(JCudaDriver.cuCtxSynchronize())) {
      check(code, "cublasDestroy");
    }
  }
}
