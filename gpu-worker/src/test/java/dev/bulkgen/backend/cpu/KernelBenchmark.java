package dev.bulkgen.backend.cpu;

import dev.bulkgen.model.WeightMatrix;
import dev.bulkgen.tensor.BFloat16;
import dev.bulkgen.tensor.DType;
import java.util.Locale;
import java.util.Random;

/**
 * Times the vectorized kernels on one thread, after comparing each result with the scalar one, and
 * prints them beside what the machine can do. Run it from the test class path with {@code
 * --add-modules jdk.incubator.vector -Xbatch}: without the latter a busy machine compiles a kernel
 * only after its time is over. Arguments are numbers of rows.
 */
final class KernelBenchmark {
  // Weights come from memory, not from a cache: so many bytes are cycled through.
  private static final int WEIGHT_BYTES = 64 << 20;
  private static final long NANOS_PER_CASE = 1_500_000_000L;
  private static final int COMPARED = 40;
  private static final int HEAD_DIM = 64;
  private static final int TOKENS = 1024;
  private static final int GROUP = 32;

  private final Random random = new Random(7);
  private final KernelPair pair = new KernelPair(7);
  private final CpuKernels kernels = new VectorKernels();
  private final double multiplyAdds = CpuRoofs.multiplyAddsPerSecond(1);
  private final double bytes = CpuRoofs.readBytesPerSecond(1, 256L << 20);

  private KernelBenchmark() {}

  public static void main(String[] arguments) {
    int[] rows = {1, 2, 4, 8, 16, 32, 64, 256};
    if (arguments.length > 0) {
      rows = new int[arguments.length];
      for (int i = 0; i < rows.length; i++) {
        rows[i] = Integer.parseInt(arguments[i]);
      }
    }
    KernelBenchmark benchmark = new KernelBenchmark();
    benchmark.roofs();
    for (int[] shape : new int[][] {{1536, 576}, {576, 1536}, {576, 576}, {192, 576}}) {
      benchmark.matmul(shape[0], shape[1], rows);
    }
    benchmark.matmul(49152, 576, rows);
    for (int heads : new int[] {1, 3, 4, 8}) {
      benchmark.attention(heads);
    }
    benchmark.elements();
  }

  private void roofs() {
    System.out.printf(
        Locale.ROOT,
        "Java %s, vectors of %d bits; one thread: %.1f GFLOP/s, reads %.1f GB/s%n",
        System.getProperty("java.version"),
        VectorLanes.WIDTH * Float.SIZE,
        2 * multiplyAdds / 1e9,
        bytes / 1e9);
  }

  private void matmul(int outputs, int cols, int[] rowCounts) {
    int copies = Math.max(1, WEIGHT_BYTES / (2 * outputs * cols));
    MemoryTensor tensor = new MemoryTensor(DType.BF16, copies * outputs, cols);
    for (int i = 0; i < copies * outputs * cols; i++) {
      tensor.setBits(i, BFloat16.fromFloat(random.nextFloat() - 0.5f));
    }
    WeightMatrix[] weights = new WeightMatrix[copies];
    for (int i = 0; i < copies; i++) {
      weights[i] = new WeightMatrix(tensor, i * outputs, outputs, outputs, 1, cols);
    }
    for (int rows : rowCounts) {
      float[] x = pair.floats(rows * cols);
      float[] staged = KernelPair.stagedRows(rows, cols);
      float[] out = new float[rows * outputs];
      int some = Math.min(COMPARED, outputs);
      pair.compare(
          "matmul",
          new float[rows * some],
          (twin, y) -> pair.product(twin, x, 0, cols, rows, weights[0], 0, some, null, y, some));
      kernels.stageRows(x, 0, cols, rows, cols, 0, cols / CpuKernels.LANES, staged);
      int[] next = {0};
      double seconds =
          best(
              () ->
                  kernels.matmul(
                      staged, rows, weights[next[0]++ % copies], 0, outputs, null, out, outputs));
      String name = String.format(Locale.ROOT, "matmul %d x %d, rows %d", outputs, cols, rows);
      report(name, (double) rows * outputs * cols, 2.0 * outputs * cols, seconds);
    }
  }

  private void attention(int heads) {
    float[] q = pair.floats(heads * HEAD_DIM);
    float[] p = pair.floats(heads * TOKENS);
    short[] cache = pair.halves(TOKENS * HEAD_DIM);
    double work = (double) heads * TOKENS * HEAD_DIM;
    time(
        "fp16 scores, heads " + heads,
        new float[heads * TOKENS],
        work,
        cache.length * 2.0,
        (twin, out) -> twin.fp16Scores(q, heads, HEAD_DIM, cache, 0, TOKENS / 16, out, 0, TOKENS));
    time(
        "fp16 values, heads " + heads,
        new float[heads * HEAD_DIM],
        work,
        cache.length * 2.0,
        (twin, out) ->
            twin.fp16Values(p, 0, TOKENS, heads, HEAD_DIM, cache, 0, TOKENS, out, HEAD_DIM));
    for (int bits : new int[] {2, 4}) {
      coded(heads, bits, q, p);
    }
  }

  private void coded(int heads, int bits, float[] q, float[] p) {
    int[] words = random.ints(GROUP * HEAD_DIM * bits / Integer.SIZE).toArray();
    short[] scales = pair.halves(HEAD_DIM);
    float[] zeroSums = new float[heads * HEAD_DIM / GROUP];
    double work = (double) heads * GROUP * HEAD_DIM;
    time(
        "scores of " + bits + " bits, heads " + heads,
        new float[heads * GROUP],
        work,
        words.length * 4.0,
        (twin, out) ->
            twin.codedScores(
                q, heads, HEAD_DIM, bits, GROUP, words, 0, scales, 0, scales, 0, out, 0, GROUP));
    time(
        "values of " + bits + " bits, heads " + heads,
        new float[heads * HEAD_DIM],
        work,
        words.length * 4.0,
        (twin, out) ->
            twin.codedValues(
                p, 0, TOKENS, heads, HEAD_DIM, bits, GROUP, words, 0, scales, 0, scales, 0, GROUP,
                GROUP, out, HEAD_DIM, zeroSums));
  }

  private void elements() {
    int count = 4096;
    float[] other = pair.floats(count);
    float[] some = pair.floats(count);
    float[] a = pair.floats(64 * 64);
    float[] panels = pair.floats(64 * 512);
    time(
        "panels 64 x 64 x 512",
        new float[64 * 512],
        64.0 * 64 * 512,
        0,
        (twin, out) -> twin.panelMultiply(a, 0, 64, 64, panels, 0, 64 * 16, 32, 64, out, 0, 512));
    time("silu", some, count, 0, (twin, x) -> twin.siluMultiply(x, other, 0, count));
    time("gelu", some, count, 0, (twin, x) -> twin.gelu(x, 0, count));
    time("gelu, tanh form", some, count, 0, (twin, x) -> twin.geluTanh(x, 0, count));
    time("exponentials", some, count, 0, (twin, x) -> twin.expAndSum(x, 0, count, 3f));
    time("rms norm", some, count, 0, (twin, x) -> twin.rmsNorm(x, 0, count, other, 1e-5f, x, 0));
  }

  private void time(String name, float[] out, double work, double read, KernelPair.Call call) {
    pair.compare(name, out, call);
    report(name, work, read, best(() -> call.on(kernels, out)));
  }

  private void report(String name, double work, double read, double seconds) {
    System.out.printf(
        Locale.ROOT,
        "%-28s %6.1f G/s of elements or multiply-adds (%3.0f %%)  %5.1f GB/s (%3.0f %%)%n",
        name,
        work / seconds / 1e9,
        100 * work / seconds / multiplyAdds,
        read / seconds / 1e9,
        100 * read / seconds / bytes);
  }

  /** Seconds of a call in the fastest round; others run on the same cores. */
  private static double best(Runnable call) {
    long start = System.nanoTime();
    call.run();
    int repeats = System.nanoTime() - start > 3_000_000 ? 1 : 8;
    double best = Double.MAX_VALUE;
    while (System.nanoTime() - start < NANOS_PER_CASE) {
      long before = System.nanoTime();
      for (int i = 0; i < repeats; i++) {
        call.run();
      }
      long nanos = System.nanoTime() - before;
      best = Math.min(best, (double) nanos / repeats);
      // Calls become faster as they are compiled; a round should last about a millisecond.
      repeats = (int) Math.max(1, Math.min(1000, repeats * 1_000_000.0 / Math.max(1, nanos)));
    }
    return best / 1e9;
  }
}
