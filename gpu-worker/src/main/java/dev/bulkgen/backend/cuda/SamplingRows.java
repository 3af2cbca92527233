package dev.bulkgen.backend.cuda;

import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.kernels.Catalogue;
import dev.bulkgen.kernels.StructLayout;
import dev.bulkgen.sampling.DeviceSampling;
import dev.bulkgen.sampling.PhiloxRandom;
import dev.bulkgen.sampling.SamplingParams;
import java.nio.ByteBuffer;
import java.nio.IntBuffer;

/** Writes how each row of a step is sampled, as {@link SamplingKernels} reads it. */
public final class SamplingRows {
  private static final String STRUCT = "SamplingRow";
  private static final int NO_SLOT = -1;
  private static final int NO_TARGET = -1;
  private static final int NO_LOG_PROBS = -1;
  private static final DeviceSampling NOTHING =
      new DeviceSampling(SamplingParams.GREEDY, new PhiloxRandom(0, "", 0), new int[0], 0);

  private final StructWriter writer;
  private final IntBuffer heldBack;

  /**
   * @param rows [rows][{@link #rowBytes}], in native order
   * @param heldBack room for {@link #heldBackCount} ids
   */
  public SamplingRows(Catalogue catalogue, ByteBuffer rows, IntBuffer heldBack) {
    this.writer = new StructWriter(layout(catalogue), rows);
    this.heldBack = heldBack;
  }

  /** Bytes of one row. */
  public static int rowBytes(Catalogue catalogue) {
    return layout(catalogue).bytes();
  }

  /** Ids that {@code rows} rows hold back at the most. */
  public static int heldBackCount(int rows) {
    return rows * DeviceSampling.MOST_HELD_BACK;
  }

  private static StructLayout layout(Catalogue catalogue) {
    return catalogue
        .struct(STRUCT)
        .orElseThrow(
            () -> BulkgenException.of(ErrorCode.INTERNAL, "the catalogue has no %s", STRUCT));
  }

  /** Begins a step: forgets the ids held back by rows written so far. */
  public void begin() {
    heldBack.clear();
  }

  /** Ids held back by the rows written since {@link #begin}. */
  public int heldBackCount() {
    return heldBack.position();
  }

  /**
   * Row {@code row} draws the next token of the sequence in {@code slot}, whose results go to the
   * same number.
   *
   * @throws BulkgenException INTERNAL if there is no room for the row or its held-back ids
   */
  public void write(int row, int slot, DeviceSampling sampling) {
    write(row, slot, sampling, slot, NO_TARGET);
  }

  /** Row {@code row} draws nothing. */
  public void writeNone(int row) {
    write(row, NO_SLOT, NOTHING, 0, NO_TARGET);
  }

  /** Row {@code row} draws nothing and tells the log-probability of {@code target}. */
  public void writeScored(int row, int result, int target) {
    write(row, NO_SLOT, NOTHING, result, target);
  }

  private void write(int row, int slot, DeviceSampling sampling, int result, int target) {
    SamplingParams params = sampling.params();
    PhiloxRandom random = sampling.random();
    int[] held = sampling.heldBack();
    if (held.length > heldBack.remaining()) {
      throw BulkgenException.of(
          ErrorCode.INTERNAL,
          "row %d holds back %d tokens, there is room for %d",
          row,
          held.length,
          heldBack.remaining());
    }
    int begin = heldBack.position();
    heldBack.put(held);
    writer
        .at(row)
        .set("slot", slot)
        .set("step", sampling.step())
        .set("sampleIndex", random.sampleIndex())
        .set("topK", params.topK())
        .set("seedLow", (int) random.seed())
        .set("seedHigh", (int) (random.seed() >>> 32))
        .set("rowHashLow", (int) random.rowHash())
        .set("rowHashHigh", (int) (random.rowHash() >>> 32))
        .set("inverseTemperature", params.isGreedy() ? 0f : params.inverseTemperature())
        .set("topP", (float) params.topP())
        .set("minP", (float) params.minP())
        .set("repetitionPenalty", (float) params.repetitionPenalty())
        .set("presencePenalty", (float) params.presencePenalty())
        .set("frequencyPenalty", (float) params.frequencyPenalty())
        .set("heldBackBegin", begin)
        .set("heldBackEnd", heldBack.position())
        .set("result", result)
        .set("topCount", params.logprobs().orElse(NO_LOG_PROBS))
        .set("target", target)
        .checkComplete();
  }
}
