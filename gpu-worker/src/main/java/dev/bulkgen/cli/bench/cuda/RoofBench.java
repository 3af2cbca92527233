package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.backend.cuda.DeviceMemory;
import dev.bulkgen.backend.cuda.RegisterProducts;
import dev.bulkgen.tensor.BFloat16;
import java.util.SplittableRandom;

/** The roofs of a card: bytes copied a second, and operations of its tensor cores. */
final class RoofBench {
  private static final double OPERAND_MAGNITUDE = 1;
  private static final int CHECKED = 64;

  private final Device device;
  private final BenchSizes sizes;

  /**
   * @param bytesPerSecond read and written together, of a copy within the device's memory
   * @param operationsPerSecond bfloat16 multiplications and additions, registers times registers
   */
  record Roofs(double bytesPerSecond, double operationsPerSecond) {}

  RoofBench(Device device, BenchSizes sizes) {
    this.device = device;
    this.sizes = sizes;
  }

  Roofs measure(Figures figures) {
    double[] rates = new double[2];
    device.run(() -> rates[0] = copyRate());
    figures.add(
        Figure.of(
            "roof: copy", Figure.settings("bytes", sizes.copyBytes()), rates[0] / 1e9, "GB/s"));
    device.run(() -> rates[1] = tensorRate());
    figures.add(
        Figure.of(
            "roof: tensor cores",
            Figure.settings("instruction", "mma.m16n8k16 bf16"),
            rates[1] / 1e12,
            "TFLOP/s"));
    return new Roofs(rates[0], rates[1]);
  }

  private double copyRate() {
    long bytes = sizes.copyBytes();
    DeviceMemory source = device.take(bytes, "source of the copy");
    DeviceMemory target = device.take(bytes, "target of the copy");
    device.stream.fillInts(source, 0x3c5a9671);
    device.stream.fill(target, (byte) 0);
    device.stream.copy(target, 0, source, 0, bytes);
    long last = bytes / Float.BYTES - 1;
    Check.near(
        "the copy's last number",
        device.floatAt(target, last),
        Float.intBitsToFloat(0x3c5a9671),
        0);
    return 2
        * bytes
        / device.timer.median("copy", call -> device.stream.copy(target, 0, source, 0, bytes));
  }

  private double tensorRate() {
    RegisterProducts products = new RegisterProducts(device.kernels());
    int[] operands = new int[RegisterProducts.operandCount()];
    SplittableRandom random = new SplittableRandom(1);
    for (int i = 0; i < operands.length; i++) {
      operands[i] = number(random) & 0xffff | number(random) << Short.SIZE;
    }
    int blocks = sizes.registerBlocks();
    DeviceMemory left = device.take("operands", operands);
    DeviceMemory out = device.take(products.outBytes(blocks), "products of registers");
    products.launch(device.stream, left.address(), out.address(), blocks, 2);
    for (int i = 0; i < CHECKED; i++) {
      int thread = random.nextInt((int) (out.bytes() / Float.BYTES / 4));
      double expected = RegisterProducts.expected(operands, thread, i % 4, 2);
      Check.near(
          "a product of registers", device.floatAt(out, 4L * thread + i % 4), expected, 1e-3);
    }
    int rounds = sizes.registerRounds();
    double seconds =
        device.timer.median(
            "products of registers",
            call -> products.launch(device.stream, left.address(), out.address(), blocks, rounds));
    return products.operations(blocks, rounds) / seconds;
  }

  private static int number(SplittableRandom random) {
    return BFloat16.fromFloat((float) (OPERAND_MAGNITUDE * (2 * random.nextDouble() - 1)));
  }
}
