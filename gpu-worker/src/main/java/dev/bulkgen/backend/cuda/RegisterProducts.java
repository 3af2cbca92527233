package dev.bulkgen.backend.cuda;

import dev.bulkgen.tensor.BFloat16;

/** Launches the products that measure the tensor cores' own rate: registers times registers. */
public final class RegisterProducts {
  private static final int LANES = 32;
  private static final int CHAINS = 8;
  private static final int ROWS = 16;
  private static final int COLUMNS = 8;
  private static final int DEPTH = 16;
  private static final int LEFT_REGISTERS = 4;
  private static final int LANE_REGISTERS = LEFT_REGISTERS + 2 * CHAINS;

  /** Floats that a thread leaves. */
  private static final int OUT = 4;

  private final Kernel kernel;
  private final KernelArguments arguments;

  public RegisterProducts(KernelLibrary kernels) {
    kernel = kernels.kernel("multiply_registers");
    arguments = kernel.arguments();
  }

  /** 32-bit registers of operands, two bfloat16 each, that a warp reads. */
  public static int operandCount() {
    return LANES * LANE_REGISTERS;
  }

  public long outBytes(int blocks) {
    return (long) Float.BYTES * OUT * kernel.signature().threads() * blocks;
  }

  /** Multiplications and additions of a launch. */
  public double operations(int blocks, int rounds) {
    double warps = (double) blocks * kernel.signature().threads() / LANES;
    return warps * rounds * CHAINS * 2.0 * ROWS * COLUMNS * DEPTH;
  }

  /**
   * @param operands address of {@link #operandCount} ints
   * @param out address of {@link #outBytes}
   */
  public void launch(CudaStream stream, long operands, long out, int blocks, int rounds) {
    arguments.setAddress("operands", operands).setAddress("out", out).set("rounds", rounds);
    kernel.launch(stream, Grid.of(blocks), 0, arguments);
  }

  /**
   * What thread {@code thread} leaves at {@code index}, from the places of a fragment's numbers
   * that the PTX ISA gives for mma.m16n8k16.
   */
  public static double expected(int[] operands, int thread, int index, int rounds) {
    int lane = thread % LANES;
    int row = lane / 4 + (index < 2 ? 0 : 8);
    int column = lane % 4 * 2 + index % 2;
    double sum = 0;
    for (int chain = 0; chain < CHAINS; chain++) {
      for (int k = 0; k < DEPTH; k++) {
        sum += left(operands, row, k) * right(operands, chain, k, column);
      }
    }
    return rounds * sum;
  }

  private static float left(int[] operands, int row, int k) {
    int lane = row % 8 * 4 + k % 8 / 2;
    int register = row / 8 + 2 * (k / 8);
    return number(operands[lane * LANE_REGISTERS + register], k % 2);
  }

  private static float right(int[] operands, int chain, int k, int column) {
    int lane = column * 4 + k % 8 / 2;
    int register = LEFT_REGISTERS + 2 * chain + k / 8;
    return number(operands[lane * LANE_REGISTERS + register], k % 2);
  }

  private static float number(int register, int half) {
    return BFloat16.toFloat((short) (half == 0 ? register : register >>> Short.SIZE));
  }
}
