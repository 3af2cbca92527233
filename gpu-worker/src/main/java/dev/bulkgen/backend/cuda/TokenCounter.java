package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.DeviceSampling;
import dev.bulkgen.sampling.Sampler;
import java.util.List;

/**
 * What tokens sequences with penalties have had, by window slot. The device counts what it draws
 * itself; where it does not know a sequence (the end of its prompt, a slot that it has come to) the
 * sequence's sampler tells.
 */
final class TokenCounter implements AutoCloseable {
  /** Tokens that travel with one copy. */
  private static final int BATCH = 1 << 14;

  private static final int TABLES = 3;

  private final DeviceMemory counts;
  private final long slotBytes;
  private final SamplingKernels kernels;
  private final CudaStream stream;
  private final StepTables tables;
  private final Sampler[] counted; // [slots], whose tokens the device's counts are
  private final int[] slots = new int[BATCH];
  private final int[] tokens = new int[BATCH];
  private final int[] times = new int[BATCH];
  private final PendingTokens pending;
  private int waiting;

  TokenCounter(
      CudaContext context,
      CudaWorkspace workspace,
      SamplingKernels kernels,
      PendingTokens pending,
      CudaStream stream) {
    this.pending = pending;
    this.kernels = kernels;
    this.stream = stream;
    counts = workspace.counts;
    int slotCount = workspace.shape().capacity().slots();
    slotBytes = workspace.shape().countBytes() / slotCount;
    counted = new Sampler[slotCount];
    tables = new StepTables(context, StepTables.room(TABLES, TABLES * BATCH), "tokens seen");
  }

  /** Bytes on the device. */
  static long bytes() {
    return (long) Integer.BYTES * StepTables.room(TABLES, TABLES * BATCH);
  }

  /** Before a step draws. */
  void prepare(List<SequenceStep> sequences) {
    for (SequenceStep sequence : sequences) {
      Sampler sampler = sequence.sampler();
      int slot = sequence.cache().slot();
      boolean isKnown = counted[slot] == sampler && !sequence.isPrefill();
      if (!isKnown && sequence.draws() && isPenalized(sampler)) {
        tell(sampler, slot);
        counted[slot] = sampler;
      }
    }
    send();
  }

  private void tell(Sampler sampler, int slot) {
    if (pending.of(sampler) > 0) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "the sequence in slot %d came there while its last token was being drawn",
          slot);
    }
    stream.fill(counts.slice(slot * slotBytes, slotBytes, counts.what()), (byte) 0);
    sampler.forEachSeen((token, count) -> add(slot, token, count));
  }

  private static boolean isPenalized(Sampler sampler) {
    return sampler.onDevice().map(DeviceSampling::params).filter(p -> p.isPenalized()).isPresent();
  }

  private void add(int slot, int token, int count) {
    if (waiting == BATCH) {
      send();
    }
    slots[waiting] = slot;
    tokens[waiting] = token;
    times[waiting++] = count;
  }

  private void send() {
    if (waiting == 0) {
      return;
    }
    tables.clear();
    SamplingKernels.Seen seen =
        new SamplingKernels.Seen(waiting, tables.put(slots), tables.put(tokens), tables.put(times));
    tables.upload(stream);
    kernels.setCounts(stream, seen, counts.address());
    waiting = 0;
  }

  @Override
  public void close() {
    tables.close();
  }
}
