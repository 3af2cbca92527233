package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.Catalogue;
import dev.bulkgen.sampling.DeviceSampling;
import dev.bulkgen.sampling.Sampler;
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
  private final PinnedMemory hostRows; // SamplingRow [logitRows]
  private final DeviceMemory rows;
  private final PinnedMemory hostHeldBack; // int [..]
  private final DeviceMemory heldBack;
  private final PinnedMemory hostTokens; // int [logitRows]
  private final DeviceMemory tokens;
  private final SamplingRows writer;
  private final int rowBytes;

  DeviceSampler(
      CudaContext context, CudaWorkspace workspace, SamplingKernels kernels, CudaStream stream) {
    this.workspace = workspace;
    this.kernels = kernels;
    this.stream = stream;
    shape = workspace.shape();
    arrays = new DeviceArrays(context);
    memory = new OwnedMemory(context);
    rowBytes = SamplingRows.rowBytes(context.kernels().catalogue());
    int most = shape.logitRows();
    int heldBackBytes = SamplingRows.heldBackCount(most) * Integer.BYTES;
    try {
      hostRows = memory.pinned(most * rowBytes, "sampling of rows");
      rows = memory.device((long) most * rowBytes, "sampling of rows");
      hostHeldBack = memory.pinned(heldBackBytes, "held-back tokens");
      heldBack = memory.device(heldBackBytes, "held-back tokens");
      hostTokens = memory.pinned(most * Integer.BYTES, "next tokens");
      tokens = memory.device((long) most * Integer.BYTES, "next tokens");
    } catch (RuntimeException | Error e) {
      close();
      throw e;
    }
    ByteBuffer ids = hostHeldBack.buffer();
    writer =
        new SamplingRows(
            context.kernels().catalogue(),
            hostRows.buffer(),
            ids.duplicate().order(ids.order()).asIntBuffer());
  }

  /** Bytes on the device for so many rows. */
  static long bytes(int logitRows) {
    int row = SamplingRows.rowBytes(Catalogue.load());
    return (long) logitRows * (row + Integer.BYTES)
        + (long) Integer.BYTES * SamplingRows.heldBackCount(logitRows);
  }

  /** Logits [vocabulary] of a row on the device, before anything is done to them; waits. */
  float[] logits(int row) {
    long rowBytes = (long) Float.BYTES * shape.logitStride();
    long bytes = (long) Float.BYTES * shape.model().vocabSize();
    return arrays.floats(workspace.logits.slice(row * rowBytes, bytes, "logits"));
  }

  /**
   * Chooses the next tokens of sequences; row i of the logits is that of {@code sequences.get(i)},
   * null where nobody wants a token of it. Waits for the device.
   *
   * @param out becomes, per row, the token or {@link SamplingKernels#NO_TOKEN}
   */
  void sample(List<SequenceStep> sequences, int[] out) {
    boolean onDevice = false;
    writer.begin();
    for (int row = 0; row < sequences.size(); row++) {
      Optional<DeviceSampling> sampling =
          Optional.ofNullable(sequences.get(row)).flatMap(step -> step.sampler().onDevice());
      if (sampling.isPresent()) {
        writer.write(row, sequences.get(row).cache().slot(), sampling.get());
        onDevice = true;
      } else {
        writer.writeNone(row);
        out[row] = onHost(sequences.get(row), row);
      }
    }
    if (onDevice) {
      run(sequences.size());
      collect(sequences, out);
    }
  }

  /** Chooses from a copy, as long as the device's logits are untouched. */
  private int onHost(SequenceStep sequence, int row) {
    if (sequence == null) {
      return SamplingKernels.NO_TOKEN;
    }
    float[] logits = logits(row);
    try {
      return sequence.sampler().sample(logits, 0, logits.length);
    } catch (BulkgenException e) {
      if (e.code() != ErrorCode.NUMERIC_FAILURE) {
        throw e;
      }
      return SamplingKernels.NO_TOKEN;
    }
  }

  private void run(int count) {
    stream.upload(rows, 0, hostRows, 0, (long) count * rowBytes);
    if (writer.heldBackCount() > 0) {
      long bytes = (long) writer.heldBackCount() * Integer.BYTES;
      stream.upload(heldBack, 0, hostHeldBack, 0, bytes);
    }
    kernels.sample(
        stream,
        new SamplingKernels.Rows(
            count,
            workspace.logits.address(),
            rows.address(),
            heldBack.address(),
            workspace.counts.address()),
        SamplingKernels.Drawn.tokensOnly(tokens.address()));
    stream.download(hostTokens, 0, tokens, 0, (long) count * Integer.BYTES);
    stream.synchronize();
  }

  private void collect(List<SequenceStep> sequences, int[] out) {
    for (int row = 0; row < sequences.size(); row++) {
      if (sequences.get(row) == null) {
        continue;
      }
      Sampler sampler = sequences.get(row).sampler();
      if (sampler.onDevice().isPresent()) {
        out[row] = hostTokens.buffer().getInt(row * Integer.BYTES);
        if (out[row] != SamplingKernels.NO_TOKEN) {
          sampler.accept(out[row]);
        }
      }
    }
  }

  @Override
  public void close() {
    memory.close();
  }
}
