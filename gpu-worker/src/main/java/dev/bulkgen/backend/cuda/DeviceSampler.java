package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.Catalogue;
import dev.bulkgen.sampling.DeviceSampling;
import dev.bulkgen.sampling.DrawnToken;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;

/**
 * Chooses the tokens of rows whose logits are on the device: there, where a sequence's sampler can
 * be described to it, else from a copy of the logits.
 */
final class DeviceSampler implements AutoCloseable {
  private final CudaShape shape;
  private final CudaWorkspace workspace;
  private final SamplingKernels kernels;
  private final CudaStream stream;
  private final DeviceArrays arrays;
  private final OwnedMemory memory;
  private final UploadBuffers buffers; // rows, then held-back tokens
  private final SamplingRows[] writers; // of the buffers
  private final DeviceMemory rows; // SamplingRow [logitRows]
  private final DeviceMemory heldBack; // int [..]
  private final int rowBytes;

  DeviceSampler(
      CudaContext context, CudaWorkspace workspace, SamplingKernels kernels, CudaStream stream) {
    this.workspace = workspace;
    this.kernels = kernels;
    this.stream = stream;
    shape = workspace.shape();
    arrays = new DeviceArrays(context);
    memory = new OwnedMemory(context);
    Catalogue catalogue = context.kernels().catalogue();
    rowBytes = SamplingRows.rowBytes(catalogue);
    int most = shape.logitRows();
    long heldBackBytes = (long) SamplingRows.heldBackCount(most) * Integer.BYTES;
    try {
      rows = memory.device((long) most * rowBytes, "sampling of rows");
      heldBack = memory.device(heldBackBytes, "held-back tokens");
      // A step of prompts and decoding rows, and the one before it, whole. Where rows to score are
      // more, the host waits for the device, which has enough to do.
      int count = 2 * (shape.capacity().slots() / most + 2);
      long bytes = rows.bytes() + heldBackBytes;
      buffers = new UploadBuffers(memory, count, bytes, "sampling of rows");
      writers = new SamplingRows[count];
      for (int i = 0; i < count; i++) {
        writers[i] = writer(catalogue, buffers.buffer(i).buffer());
      }
    } catch (RuntimeException | Error e) {
      close();
      throw e;
    }
  }

  private SamplingRows writer(Catalogue catalogue, ByteBuffer buffer) {
    int end = (int) rows.bytes();
    ByteBuffer ids = buffer.duplicate().position(end).slice().order(buffer.order());
    return new SamplingRows(catalogue, buffer, ids.asIntBuffer());
  }

  /** Bytes on the device for so many rows. */
  static long bytes(int logitRows) {
    int row = SamplingRows.rowBytes(Catalogue.load());
    return (long) logitRows * row + (long) Integer.BYTES * SamplingRows.heldBackCount(logitRows);
  }

  /** Logits [vocabulary] of a row on the device, before anything is done to them; waits. */
  float[] logits(int row) {
    long rowBytes = (long) Float.BYTES * shape.logitStride();
    long bytes = (long) Float.BYTES * shape.model().vocabSize();
    return arrays.floats(workspace.logits.slice(row * rowBytes, bytes, "logits"));
  }

  /**
   * Chooses from a copy of the row's logits, as long as the device's are untouched; waits.
   *
   * @return the token or {@link StepOutput#NO_TOKEN}
   */
  DrawnToken onHost(SequenceStep sequence, int row) {
    float[] logits = logits(row);
    try {
      return DrawnToken.of(sequence.sampler(), logits, 0, logits.length);
    } catch (BulkgenException e) {
      if (e.code() != ErrorCode.NUMERIC_FAILURE) {
        throw e;
      }
      return new DrawnToken(StepOutput.NO_TOKEN, Optional.empty());
    }
  }

  /** What becomes of a row on the device. */
  sealed interface Choice {}

  /**
   * The next token is drawn.
   *
   * @param slot of its sequence
   */
  record Draw(int slot, DeviceSampling sampling) implements Choice {}

  /** A given token is scored. */
  record Score(int target) implements Choice {}

  /**
   * Chooses on the device, without waiting; row i of the logits is that of {@code choices.get(i)},
   * null where nothing is done. What is drawn is left by slot, scores behind that by row.
   *
   * @param first row of the pass
   */
  void onDevice(List<Choice> choices, int first) {
    SamplingRows writer = writers[buffers.next()];
    writer.begin();
    for (int row = 0; row < choices.size(); row++) {
      Choice choice = choices.get(row);
      if (choice instanceof Draw draw) {
        writer.write(row, draw.slot, draw.sampling);
      } else if (choice instanceof Score score) {
        writer.writeScored(row, shape.scoredResult(first + row), score.target);
      } else {
        writer.writeNone(row);
      }
    }
    PinnedMemory written = buffers.current();
    stream.upload(rows, 0, written, 0, (long) choices.size() * rowBytes);
    if (writer.heldBackCount() > 0) {
      long bytes = (long) writer.heldBackCount() * Integer.BYTES;
      stream.upload(heldBack, 0, written, rows.bytes(), bytes);
    }
    buffers.sent(stream);
    kernels.sample(
        stream,
        new SamplingKernels.Rows(
            choices.size(),
            workspace.logits.address(),
            rows.address(),
            heldBack.address(),
            workspace.counts.address()),
        new SamplingKernels.Results(
            workspace.drawn.address(),
            workspace.logProbs.address(),
            workspace.topTokens.address(),
            workspace.topLogProbs.address(),
            SamplingKernels.MOST_TOP_TOKENS));
  }

  @Override
  public void close() {
    memory.close();
  }
}
