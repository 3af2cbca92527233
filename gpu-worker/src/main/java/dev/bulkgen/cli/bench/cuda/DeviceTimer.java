package dev.bulkgen.cli.bench.cuda;

import dev.bulkgen.backend.cuda.CudaContext;
import dev.bulkgen.backend.cuda.CudaEvent;
import dev.bulkgen.backend.cuda.CudaGraph;
import dev.bulkgen.backend.cuda.CudaStream;
import java.util.Arrays;
import java.util.function.IntConsumer;

/**
 * Times work on the device between two events: the median of several samples after a warm-up. Short
 * work is put into a graph many times over, so that neither the launch nor the resolution of events
 * counts.
 */
final class DeviceTimer implements AutoCloseable {
  private static final double SAMPLE_SECONDS = 2e-3;
  private static final int MAX_CALLS = 64;
  private static final int MIN_SAMPLES = 3;
  private static final int MAX_SAMPLES = 100;

  private final CudaStream stream;
  private final CudaEvent start;
  private final CudaEvent end;
  private final double enoughSeconds;

  /**
   * @param enoughSeconds of samples of one kind of work
   */
  DeviceTimer(CudaContext context, CudaStream stream, double enoughSeconds) {
    this.stream = stream;
    this.enoughSeconds = enoughSeconds;
    start = context.newEvent("start of a sample");
    end = context.newEvent("end of a sample");
  }

  /**
   * Seconds of one call.
   *
   * @param work gives one call to the stream; it is told the number of the call in the graph, by
   *     which it takes turns among buffers that a cache would hold
   */
  double median(String what, IntConsumer work) {
    work.accept(0);
    double once = seconds(() -> work.accept(1));
    double sample = Math.min(SAMPLE_SECONDS, enoughSeconds / MIN_SAMPLES);
    int calls = (int) Math.max(1, Math.min(MAX_CALLS, Math.ceil(sample / once)));
    try (CudaGraph graph =
        stream.capture(
            what,
            () -> {
              for (int call = 0; call < calls; call++) {
                work.accept(call);
              }
            })) {
      seconds(() -> graph.launch(stream));
      return medianOf(() -> graph.launch(stream)) / calls;
    }
  }

  /** Seconds of one call of work that cannot be captured. */
  double medianUncaptured(Runnable work) {
    seconds(work);
    return medianOf(work);
  }

  private double medianOf(Runnable work) {
    double[] samples = new double[MAX_SAMPLES];
    int count = 0;
    double total = 0;
    while (count < MIN_SAMPLES || count < MAX_SAMPLES && total < enoughSeconds) {
      samples[count] = seconds(work);
      total += samples[count++];
    }
    double[] sorted = Arrays.copyOf(samples, count);
    Arrays.sort(sorted);
    return sorted[count / 2];
  }

  private double seconds(Runnable work) {
    stream.record(start);
    work.run();
    stream.record(end);
    end.synchronize();
    // Never 0, also where a clock is coarse: rates stay finite.
    return Math.max(1e-9, end.millisSince(start) / 1e3);
  }

  @Override
  public void close() {
    start.close();
    end.close();
  }
}
