package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.sampling.DeviceSampling;
import dev.bulkgen.sampling.SamplingParams;
import dev.bulkgen.sampling.SamplingParamsBuilder;
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

  /** Draws the tokens alone; −1 where {@code how} is null. */
  int[] sample(float[][] values, DeviceSampling[] how) {
    writeRows(values, how);
    return launch(1).tokens;
  }

  /** Draws with log-probabilities. */
  Result sampleWithTop(float[][] values, DeviceSampling[] how, int topCount) {
    DeviceSampling[] reporting = new DeviceSampling[rows];
    for (int row = 0; row < rows; row++) {
      DeviceSampling own = how[row];
      reporting[row] = own == null ? null : reporting(own, topCount);
    }
    writeRows(values, reporting);
    return launch(topCount);
  }

  private static DeviceSampling reporting(DeviceSampling own, int topCount) {
    SamplingParams params = SamplingParamsBuilder.of(own.params()).logprobs(topCount).build();
    return new DeviceSampling(params, own.random(), own.heldBack(), own.step());
  }

  /** Draws where {@code how} says so, and scores the targets of the other rows. */
  Result score(float[][] values, DeviceSampling[] how, int[] targets) {
    writeRows(values, how);
    for (int row = 0; row < rows; row++) {
      if (how[row] == null) {
        samplingRows.writeScored(row, slot(row), targets[row]);
      }
    }
    return launch(1);
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

  private Result launch(int topCount) {
    device.stream.upload(samplings, 0, pinnedRows, 0, pinnedRows.bytes());
    device.stream.upload(heldBack, 0, pinnedHeldBack, 0, pinnedHeldBack.bytes());
    int[] none = new int[rows];
    Arrays.fill(none, StepOutput.NO_TOKEN);
    device.arrays.write(tokens, none);
    try (DeviceMemory logprobs = device.context.allocate(4L * rows, "logprobs");
        DeviceMemory topTokens = device.context.allocate(4L * rows * topCount + 4, "tops");
        DeviceMemory topLogprobs = device.context.allocate(4L * rows * topCount + 4, "tops")) {
      kernels.sample(
          device.stream,
          new SamplingKernels.Rows(
              rows, logits.address(), samplings.address(), heldBack.address(), counts.address()),
          new SamplingKernels.Results(
              tokens.address(),
              logprobs.address(),
              topTokens.address(),
              topLogprobs.address(),
              topCount));
      Result bySlot =
          new Result(
              device.arrays.ints(tokens),
              device.arrays.floats(logprobs),
              device.arrays.ints(topTokens),
              device.arrays.floats(topLogprobs));
      return byRow(bySlot, topCount);
    }
  }

  private Result byRow(Result bySlot, int topCount) {
    Result result =
        new Result(
            new int[rows], new float[rows], new int[rows * topCount], new float[rows * topCount]);
    for (int row = 0; row < rows; row++) {
      int slot = slot(row);
      result.tokens[row] = bySlot.tokens[slot];
      result.logprobs[row] = bySlot.logprobs[slot];
      for (int i = 0; i < topCount; i++) {
        result.topTokens[row * topCount + i] = bySlot.topTokens[slot * topCount + i];
        result.topLogprobs[row * topCount + i] = bySlot.topLogprobs[slot * topCount + i];
      }
    }
    return result;
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
