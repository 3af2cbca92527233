package dev.bulkgen.backend.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUevent;
import jcuda.driver.CUfunction;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;
import org.junit.jupiter.api.Assumptions;

/**
 * The emulated device by bare driver calls, for tests of what it punishes: a context of its own
 * that a failed launch may spoil, and the kernels of one library of {@code kernels/src/test/cuda}.
 */
final class RawDevice implements AutoCloseable {
  static final int MEMORY_BYTES = 0x1000;
  static final int FAIL_ALLOCATION = 0x1001;
  static final int FAIL_PINNED_ALLOCATION = 0x1002;
  static final int FAIL_LAUNCH = 0x1003;
  static final int SEED = 0x1004;
  static final int LAUNCH_MILLISECONDS = 0x1009;
  static final int QUIET = 0x100a;
  static final int LIVE_ALLOCATIONS = 0x1100;
  static final int LIVE_BYTES = 0x1101;
  private static final int LAST_MESSAGE = 0x1000;

  private final CUcontext context = new CUcontext();
  private final CUmodule module = new CUmodule();

  /** Skips the test where there is no emulated device. */
  RawDevice(String library) {
    EmulatedDevice.assumePresent();
    Assumptions.assumeFalse(EmulatedDevice.isReal(), "kernels that offend are not for cards");
    set(QUIET, 1);
    CUdevice device = new CUdevice();
    succeed(JCudaDriver.cuDeviceGet(device, 0));
    succeed(JCudaDriver.cuCtxCreate(context, 0, device));
    succeed(JCudaDriver.cuModuleLoadData(module, image(library)));
  }

  private static byte[] image(String library) {
    Path folder = EmulatedDriver.folder().orElseThrow();
    try {
      return Files.readAllBytes(folder.resolve(library + ".so"));
    } catch (IOException e) {
      throw new AssertionError(library + " was not built", e);
    }
  }

  static void succeed(int code) {
    assertEquals("CUDA_SUCCESS", CUresult.stringFor(code), RawDevice::message);
  }

  static void set(int limit, long value) {
    succeed(JCudaDriver.cuCtxSetLimit(limit, value));
  }

  static long read(int limit) {
    long[] value = new long[1];
    succeed(JCudaDriver.cuCtxGetLimit(value, limit));
    return value[0];
  }

  /** The last line that the device had to say. */
  static String message() {
    String[] text = new String[1];
    JCudaDriver.cuGetErrorString(LAST_MESSAGE, text);
    return text[0];
  }

  DevicePointer allocate(long bytes) {
    DevicePointer address = new DevicePointer();
    succeed(JCudaDriver.cuMemAlloc(address, bytes));
    return address;
  }

  /** Device memory that holds {@code count} numbers of {@code value}. */
  DevicePointer numbers(int count, float value) {
    DevicePointer address = allocate(count * (long) Float.BYTES);
    succeed(JCudaDriver.cuMemsetD32(address, Float.floatToRawIntBits(value), count));
    // No other stream waits for the default stream by itself.
    succeed(JCudaDriver.cuCtxSynchronize());
    return address;
  }

  DevicePointer words(int[] words) {
    DevicePointer address = allocate(words.length * (long) Integer.BYTES);
    succeed(
        JCudaDriver.cuMemcpyHtoD(address, Pointer.to(words), words.length * (long) Integer.BYTES));
    return address;
  }

  float[] floats(DevicePointer address, int count) {
    float[] values = new float[count];
    succeed(JCudaDriver.cuMemcpyDtoH(Pointer.to(values), address, count * (long) Float.BYTES));
    return values;
  }

  int[] readWords(DevicePointer address, int count) {
    int[] values = new int[count];
    succeed(JCudaDriver.cuMemcpyDtoH(Pointer.to(values), address, count * (long) Integer.BYTES));
    return values;
  }

  CUstream stream() {
    CUstream stream = new CUstream();
    succeed(JCudaDriver.cuStreamCreate(stream, 1));
    return stream;
  }

  CUevent event() {
    CUevent event = new CUevent();
    succeed(JCudaDriver.cuEventCreate(event, 0));
    return event;
  }

  /** Pinned memory of {@code count} floats. */
  FloatBuffer pinned(int count, Pointer address) {
    succeed(JCudaDriver.cuMemHostAlloc(address, count * (long) Float.BYTES, 0));
    return address
        .getByteBuffer(0, count * (long) Float.BYTES)
        .order(ByteOrder.nativeOrder())
        .asFloatBuffer();
  }

  /** A launch to be given; grids and blocks have one direction here. */
  Launch launch(String kernel) {
    return new Launch(kernel);
  }

  /** Collects what a launch needs; arguments are those of struct OffenderArguments. */
  final class Launch {
    private final String kernel;
    private int blocks = 1;
    private int threads = 32;
    private int sharedBytes;
    private CUstream stream;
    private final ByteBuffer arguments =
        ByteBuffer.allocateDirect(32).order(ByteOrder.nativeOrder());
    private int argumentBytes = 32;

    private Launch(String kernel) {
      this.kernel = kernel;
    }

    Launch grid(int blockCount, int threadCount) {
      blocks = blockCount;
      threads = threadCount;
      return this;
    }

    Launch shared(int bytes) {
      sharedBytes = bytes;
      return this;
    }

    Launch on(CUstream target) {
      stream = target;
      return this;
    }

    Launch out(DevicePointer address) {
      return address(0, address);
    }

    Launch in(DevicePointer address) {
      return address(8, address);
    }

    Launch count(long count) {
      arguments.putLong(16, count);
      return this;
    }

    Launch place(int place) {
      arguments.putInt(24, place);
      return this;
    }

    Launch repeats(int repeats) {
      arguments.putInt(28, repeats);
      return this;
    }

    /** Pretends that the struct has another size. */
    Launch argumentBytes(int bytes) {
      argumentBytes = bytes;
      return this;
    }

    private Launch address(int offset, DevicePointer address) {
      arguments.putLong(offset, address.address());
      return this;
    }

    /** Gives the launch to its stream; the code tells what is wrong with it. */
    int give() {
      CUfunction function = new CUfunction();
      int found = JCudaDriver.cuModuleGetFunction(function, module, kernel);
      if (found != CUresult.CUDA_SUCCESS) {
        return found;
      }
      ByteBuffer size = ByteBuffer.allocateDirect(8).order(ByteOrder.nativeOrder());
      size.putLong(0, argumentBytes);
      Pointer extra =
          Pointer.to(
              JCudaDriver.CU_LAUNCH_PARAM_BUFFER_POINTER,
              Pointer.to(arguments),
              JCudaDriver.CU_LAUNCH_PARAM_BUFFER_SIZE,
              Pointer.to(size),
              JCudaDriver.CU_LAUNCH_PARAM_END);
      return JCudaDriver.cuLaunchKernel(
          function, blocks, 1, 1, threads, 1, 1, sharedBytes, stream, null, extra);
    }

    /** Gives the launch and waits; the code of the first that fails. */
    int run() {
      int code = give();
      return code == CUresult.CUDA_SUCCESS ? JCudaDriver.cuCtxSynchronize() : code;
    }
  }

  /** Ends the context, whatever state it is in. */
  @Override
  public void close() {
    set(FAIL_ALLOCATION, 0);
    set(FAIL_PINNED_ALLOCATION, 0);
    set(FAIL_LAUNCH, 0);
    set(SEED, 1);
    JCudaDriver.cuCtxDestroy(context);
    set(QUIET, 0);
  }
}
