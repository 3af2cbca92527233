package dev.bulkgen.backend.cpu;

import static dev.bulkgen.backend.cpu.VectorLanes.WIDTH;
import static dev.bulkgen.backend.cpu.VectorLanes.broadcast;
import static dev.bulkgen.backend.cpu.VectorLanes.floats;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import jdk.incubator.vector.FloatVector;

/**
 * What this machine can do at most, measured: the figures that benchmarks report their own against.
 * Each takes two seconds or so, needs the module {@code jdk.incubator.vector}, and is the best of
 * several rounds in which all threads work at the same time.
 */
public final class CpuRoofs {
  private static final int ROUNDS = 25;
  private static final long WARM_UP_NANOS = 1_000_000_000L;

  private static final int READ_RUN = 1 << 14;
  private static final int MULTIPLY_ADD_STEPS = 400_000;
  private static final int STEPS_OF_A_RUN = 4_000;
  private static final int CHAINS = 8;

  // Results go here, so that the compiler cannot drop the work.
  private static volatile float sink;

  private CpuRoofs() {}

  /**
   * Bytes per second copied; each is read once and written once.
   *
   * @param bytes that all threads copy before they come to the same ones again: as many as a step
   *     goes through, so that a cache that holds them helps both alike; a quarter of the heap's
   *     limit at most
   */
  public static double copyBytesPerSecond(int threads, long bytes) {
    int floats = floatsOfAThread(threads, bytes);
    return best(
        threads,
        (double) floats * Float.BYTES,
        () -> {
          float[] source = new float[floats];
          float[] target = new float[floats];
          return () -> System.arraycopy(source, 0, target, 0, source.length);
        });
  }

  /**
   * Bytes per second read.
   *
   * @param bytes as in {@link #copyBytesPerSecond}
   */
  public static double readBytesPerSecond(int threads, long bytes) {
    int floats = floatsOfAThread(threads, bytes);
    return best(
        threads,
        (double) floats * Float.BYTES,
        () -> {
          float[] source = new float[floats];
          return () -> sink = read(source);
        });
  }

  private static int floatsOfAThread(int threads, long bytes) {
    if (threads < 1) {
      throw new IllegalArgumentException(threads + " threads");
    }
    long most = Runtime.getRuntime().maxMemory() / 4;
    long runs = Math.min(bytes, most) / threads / Float.BYTES / READ_RUN;
    return Math.toIntExact(Math.max(1, runs) * READ_RUN);
  }

  /** Fused multiply-adds of single floats per second (each counts once, not as two operations). */
  public static double multiplyAddsPerSecond(int threads) {
    return best(
        threads,
        (double) MULTIPLY_ADD_STEPS * CHAINS * WIDTH,
        () -> {
          float[] state = new float[CHAINS * WIDTH];
          return () -> {
            multiplyAdd(state);
            sink = state[0];
          };
        });
  }

  private static double best(int threads, double workPerThread, Callable<Runnable> setUp) {
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    try {
      CyclicBarrier barrier = new CyclicBarrier(threads);
      List<Future<long[]>> results = new ArrayList<>();
      for (int i = 0; i < threads; i++) {
        results.add(pool.submit(() -> timed(barrier, setUp.call())));
      }
      long[] slowest = new long[ROUNDS];
      for (Future<long[]> result : results) {
        long[] nanos = result.get();
        for (int round = 0; round < ROUNDS; round++) {
          slowest[round] = Math.max(slowest[round], nanos[round]);
        }
      }
      long fastest = Long.MAX_VALUE;
      for (long nanos : slowest) {
        fastest = Math.min(fastest, nanos);
      }
      return threads * workPerThread / fastest * 1e9;
    } catch (InterruptedException | ExecutionException e) {
      if (e instanceof InterruptedException) {
        Thread.currentThread().interrupt();
      }
      throw new BulkgenException(ErrorCode.INTERNAL, "measuring the machine failed: " + e, e);
    } finally {
      pool.shutdownNow();
    }
  }

  private static long[] timed(CyclicBarrier barrier, Runnable work)
      throws InterruptedException, BrokenBarrierException {
    // Until the loops are compiled, also where other threads keep the compiler waiting.
    long warm = System.nanoTime() + WARM_UP_NANOS;
    while (System.nanoTime() < warm) {
      work.run();
    }
    long[] nanos = new long[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
      barrier.await();
      long start = System.nanoTime();
      work.run();
      nanos[round] = System.nanoTime() - start;
    }
    return nanos;
  }

  private static float read(float[] source) {
    float sum = 0;
    // In runs, so that the loop is compiled as a method before the first round is over.
    for (int at = 0; at < source.length; at += READ_RUN) {
      sum += readRun(source, at, at + READ_RUN);
    }
    return sum;
  }

  private static float readRun(float[] source, int from, int to) {
    FloatVector s0 = broadcast(0f);
    FloatVector s1 = broadcast(0f);
    FloatVector s2 = broadcast(0f);
    FloatVector s3 = broadcast(0f);
    for (int i = from; i < to; i += 4 * WIDTH) {
      s0 = s0.add(floats(source, i));
      s1 = s1.add(floats(source, i + WIDTH));
      s2 = s2.add(floats(source, i + 2 * WIDTH));
      s3 = s3.add(floats(source, i + 3 * WIDTH));
    }
    return s0.add(s1).add(s2.add(s3)).lane(0);
  }

  private static void multiplyAdd(float[] state) {
    for (int done = 0; done < MULTIPLY_ADD_STEPS; done += STEPS_OF_A_RUN) {
      multiplyAddRun(state, STEPS_OF_A_RUN);
    }
  }

  /** Eight chains: enough to fill the pipelines of two units with a latency of four. */
  private static void multiplyAddRun(float[] state, int steps) {
    FloatVector factor = broadcast(0.999f);
    FloatVector s0 = floats(state, 0);
    FloatVector s1 = floats(state, WIDTH);
    FloatVector s2 = floats(state, 2 * WIDTH);
    FloatVector s3 = floats(state, 3 * WIDTH);
    FloatVector s4 = floats(state, 4 * WIDTH);
    FloatVector s5 = floats(state, 5 * WIDTH);
    FloatVector s6 = floats(state, 6 * WIDTH);
    FloatVector s7 = floats(state, 7 * WIDTH);
    for (int i = 0; i < steps; i++) {
      s0 = s0.fma(factor, factor);
      s1 = s1.fma(factor, factor);
      s2 = s2.fma(factor, factor);
      s3 = s3.fma(factor, factor);
      s4 = s4.fma(factor, factor);
      s5 = s5.fma(factor, factor);
      s6 = s6.fma(factor, factor);
      s7 = s7.fma(factor, factor);
    }
    s0.intoArray(state, 0);
    s1.intoArray(state, WIDTH);
    s2.intoArray(state, 2 * WIDTH);
    s3.intoArray(state, 3 * WIDTH);
    s4.intoArray(state, 4 * WIDTH);
    s5.intoArray(state, 5 * WIDTH);
    s6.intoArray(state, 6 * WIDTH);
    s7.intoArray(state, 7 * WIDTH);
  }
}
