package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * From rows of the residual stream to tokens, so many rows at a time as there is room for logits.
 */
final class RowChooser {
  private final int logitRows;
  private final CudaForward forward;
  private final DeviceSampler sampler;

  /**
   * What the sequences of a pass gave.
   *
   * @param tokens [sequences], {@link SamplingKernels#NO_TOKEN} where the logits are not finite
   * @param logits [sequences][rows asked for][vocabulary]
   */
  record Chosen(int[] tokens, float[][][] logits) {}

  RowChooser(CudaShape shape, CudaForward forward, DeviceSampler sampler) {
    logitRows = shape.logitRows();
    this.forward = forward;
    this.sampler = sampler;
  }

  /**
   * @param rows in the order of {@code rowIndex}
   * @param rowIndex address of the rows' numbers, [rows] int
   * @param sequences of the pass
   */
  Chosen choose(List<LogitRow> rows, long rowIndex, int sequences) {
    Chosen chosen = new Chosen(new int[sequences], new float[sequences][][]);
    Arrays.fill(chosen.logits, new float[0][]);
    for (LogitRow row : rows) {
      if (row.isLast()) {
        chosen.logits[row.sequence()] = new float[row.isWanted() ? row.index() + 1 : 0][];
      }
    }
    for (int first = 0; first < rows.size(); first += logitRows) {
      List<LogitRow> part = rows.subList(first, Math.min(rows.size(), first + logitRows));
      forward.logits(rowIndex + (long) Integer.BYTES * first, part.size());
      choosePart(part, chosen);
    }
    return chosen;
  }

  private void choosePart(List<LogitRow> part, Chosen chosen) {
    List<SequenceStep> choosing = new ArrayList<>(part.size());
    for (int i = 0; i < part.size(); i++) {
      LogitRow row = part.get(i);
      if (row.isWanted()) {
        chosen.logits[row.sequence()][row.index()] = sampler.logits(i);
      }
      choosing.add(row.isDrawn() ? row.step() : null);
    }
    int[] tokens = new int[part.size()];
    sampler.sample(choosing, tokens);
    for (int i = 0; i < part.size(); i++) {
      if (part.get(i).isDrawn()) {
        chosen.tokens[part.get(i).sequence()] = tokens[i];
      }
    }
  }
}
