package dev.bulkgen.backend.cuda;

import dev.bulkgen.sampling.DeviceSampling;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Rows of logits and the device sampler. Row i has the slot {@code rows − 1 − i}. The numbers that
 * pad a row are NaN.
 */
final class SamplerRig implements AutoCloseable {
  final RowDevice device = new RowDevice();
  final int vocabulary;
  final int rows;
  private final int stride;
  private final SamplingKernels kernels;
  private final PinnedMemory pinnedRows;
  private final PinnedMemory pinnedHeldBack;
  private final SamplingRows samplingRows;
  private final DeviceMemory samplings;
  private final DeviceMemory heldBack;
  private final DeviceMemory logits;
  private final DeviceMemory counts;
  private final DeviceMemory tokens;

  /** What a launch wrote. */
  record Result(int[] tokens, float[] logprobs, int[] topTokens, float[] topLogprobs) {}

  SamplerRig(int vocabulary, int rows) {
    this.vocabulary = vocabulary;
    this.rows = rows;
    stride = SamplingKernels.stride(vocabulary);
    kernels = new SamplingKernels(device.kernels(), vocabulary, stride);
    int rowBytes = SamplingRows.rowBytes(device.kernels().catalogue());
    int heldBackBytes = SamplingRows.heldBackCount(rows) * Integer.BYTES;
    pinnedRows = device.context.allocatePinned(rows * rowBytes, "sampling rows");
    pinnedHeldBack = device.context.allocatePinned(heldBackBytes, "held-back tokens");
    samplingRows =
        new SamplingRows(
            device.kernels().catalogue(),
            pinnedRows.buffer(),
            pinnedHeldBack.buffer().order(ByteOrder.nativeOrder()).asIntBuffer());
    samplings = device.fresh(pinnedRows.bytes(), "sampling rows");
    heldBack = device.fresh(pinnedHeldBack.bytes(), "held-back tokens");
    logits = device.fresh(4L * rows * stride, "logits");
    counts = device.fresh(SamplingKernels.countsBytes(rows, vocabulary), "counts");
    tokens = device.fresh(4L * rows, "tokens");
  }

  /** Begins a sequence in every row's slot; a null prompt leaves its slot alone. */
  void begin(int[][] prompts) {
    int[] slots = new int[0];
    int[] tokens = new int[0];
    short[] fresh = device.arrays.shorts(counts);
    for (int i = 0; i < prompts.length; i++) {
      if (prompts[i] != null) {
        Arrays.fill(fresh, slot(i) * vocabulary, (slot(i) + 1) * vocabulary, (short) 0);
        int before = tokens.length;
        tokens = Arrays.copyOf(tokens, before + prompts[i].length);
        System.arraycopy(prompts[i], 0, tokens, before, prompts[i].length);
        slots = Arrays.copyOf(slots, tokens.length);
        Arrays.fill(slots, before, slots.length, slot(i));
      }
    }
    device.arrays.write(counts, fresh);
    kernels.setCounts(
        device.stream,
        new SamplingKernels.Seen(
            tokens.length,
            device.upload("slots", slots).address(),
            device.upload("tokens", tokens).address(),
            device.upload("times", new int[tokens.length]).address()),
        counts.address());
  }

  int slot(int row) {
    return rows - 1 - row;
  }

  /** Draws the tokens alone. */
  int[] sample(float[][] values, DeviceSampling[] how) {
    return sample(values, how, SamplingKernels.Drawn.tokensOnly(tokens.address())).tokens;
  }

  /** Draws with log-probabilities. */
  Result sampleWithTop(float[][] values, DeviceSampling[] how, int topCount) {
    try (DeviceMemory logprobs = device.context.allocate(4L * rows, "logprobs");
        DeviceMemory topTokens = device.context.allocate(4L * rows * topCount + 4, "tops");
        DeviceMemory topLogprobs = device.context.allocate(4L * rows * topCount + 4, "tops")) {
      SamplingKernels.Drawn drawn =
          new SamplingKernels.Drawn(
              tokens.address(),
              0,
              logprobs.address(),
              topCount,
              topTokens.address(),
              topLogprobs.address());
      return new Result(
          sample(values, how, drawn).tokens,
          device.arrays.floats(logprobs),
          device.arrays.ints(topTokens),
          device.arrays.floats(topLogprobs));
    }
  }

  /** Draws where {@code how} says so, and scores the targets of the other rows. */
  Result score(float[][] values, DeviceSampling[] how, int[] targets) {
    try (DeviceMemory logprobs = device.context.allocate(4L * rows, "logprobs")) {
      writeRows(values, how);
      for (int row = 0; row < rows; row++) {
        if (how[row] == null) {
          samplingRows.writeScored(row, targets[row]);
        }
      }
      int[] drawn =
          launch(SamplingKernels.Drawn.scored(tokens.address(), 0, logprobs.address())).tokens;
      return new Result(drawn, device.arrays.floats(logprobs), null, null);
    }
  }

  private Result sample(float[][] values, DeviceSampling[] how, SamplingKernels.Drawn drawn) {
    writeRows(values, how);
    return launch(drawn);
  }

  private void writeRows(float[][] values, DeviceSampling[] how) {
    float[] padded = new float[rows * stride];
    Arrays.fill(padded, Float.NaN);
    samplingRows.begin();
    for (int row = 0; row < rows; row++) {
      System.arraycopy(values[row], 0, padded, row * stride, vocabulary);
      if (how[row] == null) {
        samplingRows.writeNone(row);
      } else {
        samplingRows.write(row, slot(row), how[row]);
      }
    }
    device.arrays.write(logits, padded);
  }

  private Result launch(SamplingKernels.Drawn drawn) {
    device.stream.upload(samplings, 0, pinnedRows, 0, pinnedRows.bytes());
    device.stream.upload(heldBack, 0, pinnedHeldBack, 0, pinnedHeldBack.bytes());
    kernels.sample(
        device.stream,
        new SamplingKernels.Rows(
            rows, logits.address(), samplings.address(), heldBack.address(), counts.address()),
        drawn);
    return new Result(device.arrays.ints(tokens), null, null, null);
  }

  /** A row's logits as the last launch left them. */
  float[] logits(int row) {
    float[] all = device.arrays.floats(logits);
    return Arrays.copyOfRange(all, row * stride, row * stride + vocabulary);
  }

  /** [vocabulary] of a row's slot. */
  short[] counts(int row) {
    short[] all = device.arrays.shorts(counts);
    return Arrays.copyOfRange(all, slot(row) * vocabulary, (slot(row) + 1) * vocabulary);
  }

  void writeCounts(short... values) {
    device.arrays.write(counts, values);
  }

  @Override
  public void close() {
    device.stream.synchronize();
    pinnedRows.close();
    pinnedHeldBack.close();
    device.close();
  }
}
