package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.sampling.DeviceSampling;
import dev.bulkgen.sampling.DrawnToken;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * From rows of the residual stream to tokens, so many rows at a time as there is room for logits.
 * Waits for the device only where the host wants logits.
 */
final class RowChooser {
  private final int logitRows;
  private final CudaForward forward;
  private final DeviceSampler sampler;
  private final PendingTokens pending;

  /** What the sequences of a pass gave. */
  static final class Chosen {
    /** [sequences][rows asked for][vocabulary]. */
    final float[][][] logits;

    private final int[] firstRow; // [sequences] among the rows of the pass
    private final DrawnToken[] onHost; // [sequences], null where the device draws

    private Chosen(int sequences) {
      logits = new float[sequences][0][];
      firstRow = new int[sequences];
      onHost = new DrawnToken[sequences];
    }

    /** The first of a sequence's rows among those of the pass. */
    int firstRow(int sequence) {
      return firstRow[sequence];
    }

    /**
     * A sequence's token, {@link StepOutput#NO_TOKEN} where the logits are not finite; its sampler
     * knows it then.
     *
     * @param results of the step, which has been waited for
     */
    DrawnToken drawn(int sequence, SequenceStep step, StepResults results) {
      if (onHost[sequence] != null) {
        return onHost[sequence];
      }
      int slot = step.cache().slot();
      int token = results.token(slot);
      if (token != StepOutput.NO_TOKEN) {
        step.sampler().accept(token);
      }
      OptionalInt asked = step.sampler().logProbs();
      return new DrawnToken(
          token,
          asked.isPresent()
              ? Optional.of(results.logProbs(slot, asked.getAsInt()))
              : Optional.empty());
    }
  }

  RowChooser(CudaShape shape, CudaForward forward, DeviceSampler sampler, PendingTokens pending) {
    logitRows = shape.logitRows();
    this.forward = forward;
    this.sampler = sampler;
    this.pending = pending;
  }

  /**
   * @param rows in the order of {@code rowIndex}
   * @param rowIndex address of the rows' numbers, [rows] int
   * @param sequences of the pass
   */
  Chosen choose(List<LogitRow> rows, long rowIndex, int sequences) {
    Chosen chosen = new Chosen(sequences);
    for (int i = 0; i < rows.size(); i++) {
      LogitRow row = rows.get(i);
      if (row.isLast()) {
        chosen.logits[row.sequence()] = new float[row.isWanted() ? row.index() + 1 : 0][];
        chosen.firstRow[row.sequence()] = i - row.index();
      }
    }
    for (int first = 0; first < rows.size(); first += logitRows) {
      List<LogitRow> part = rows.subList(first, Math.min(rows.size(), first + logitRows));
      forward.logits(rowIndex + (long) Integer.BYTES * first, part.size());
      choosePart(part, first, chosen);
    }
    return chosen;
  }

  private void choosePart(List<LogitRow> part, int first, Chosen chosen) {
    List<DeviceSampler.Choice> choices = new ArrayList<>(part.size());
    for (int i = 0; i < part.size(); i++) {
      LogitRow row = part.get(i);
      if (row.isWanted()) {
        chosen.logits[row.sequence()][row.index()] = sampler.logits(i);
      }
      if (row.isScored()) {
        choices.add(new DeviceSampler.Score(row.step().targets()[row.index()]));
      } else {
        choices.add(row.isDrawn() ? draw(row, i, chosen) : null);
      }
    }
    if (choices.stream().anyMatch(Objects::nonNull)) {
      sampler.onDevice(choices, first);
    }
  }

  /** Null for a row whose token the host has chosen. */
  private DeviceSampler.Choice draw(LogitRow row, int index, Chosen chosen) {
    SequenceStep step = row.step();
    Optional<DeviceSampling> sampling = step.sampler().onDevice(pending.of(step.sampler()));
    if (sampling.isEmpty()) {
      chosen.onHost[row.sequence()] = sampler.onHost(step, index);
      return null;
    }
    pending.draws(step);
    return new DeviceSampler.Draw(step.cache().slot(), sampling.get());
  }
}
