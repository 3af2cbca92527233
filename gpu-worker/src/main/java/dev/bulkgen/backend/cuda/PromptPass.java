package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepCheck;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.backend.StepOutput.SequenceOutput;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** The part of a step that prefills. */
final class PromptPass implements AutoCloseable {
  private static final int TABLES = 10;
  private static final int NO_SLOT = -1;

  private final CudaShape shape;
  private final CudaWorkspace workspace;
  private final CudaForward forward;
  private final SamplingKernels sampling;
  private final RowChooser chooser;
  private final CudaStream stream;
  private final StepTables tables;
  private final BrokenRows broken;

  PromptPass(
      CudaContext context,
      CudaWorkspace workspace,
      CudaForward forward,
      SamplingKernels sampling,
      RowChooser chooser,
      CudaStream stream) {
    this.workspace = workspace;
    this.forward = forward;
    this.sampling = sampling;
    this.chooser = chooser;
    this.stream = stream;
    shape = workspace.shape();
    tables = new StepTables(context, tableInts(shape), "tables of prompts");
    try {
      broken = new BrokenRows(context, workspace, shape.capacity().prefillTokens(), stream);
    } catch (RuntimeException | Error e) {
      tables.close();
      throw e;
    }
  }

  /** Ints of all tables: three of tokens, two of tiles, five of sequences. */
  static int tableInts(CudaShape shape) {
    int tokens = shape.capacity().prefillTokens();
    int sequences = shape.capacity().slots();
    int tiles = tokens / PrefillAttentionKernels.QUERY_TILE + sequences;
    return StepTables.room(TABLES, 3 * tokens + 2 * tiles + 5 * sequences);
  }

  /** Runs prompts whose pages the device knows; one output per sequence. */
  List<SequenceOutput> run(List<SequenceStep> sequences) {
    PromptRows rows =
        new PromptRows(sequences, PrefillAttentionKernels.QUERY_TILE, shape.blockRows());
    tables.clear();
    CudaForward.PromptTables placed =
        new CudaForward.PromptTables(
            tables.put(rows.tokens),
            tables.put(rows.positions),
            tables.put(rows.firstRow),
            tables.put(rows.length),
            tables.put(rows.slots),
            tables.put(rows.tileSequence),
            tables.put(rows.tileStart));
    List<LogitRow> logitRows = logitRows(rows, sequences);
    long rowIndex = tables.put(logitRows.stream().mapToInt(LogitRow::row).toArray());
    long countedSlots = tables.put(countedSlots(sequences));
    tables.upload(stream);
    broken.clear(rows.count);
    if (sequences.stream().anyMatch(PromptPass::isPenalized)) {
      sampling.countPrompts(
          stream,
          new SamplingKernels.Prompts(
              sequences.size(), placed.tokens(), placed.firstRow(), placed.length(), countedSlots),
          workspace.counts.address());
    }
    forward.prefill(rows, placed);
    broken.fetch(rows.count);
    RowChooser.Chosen chosen = chooser.choose(logitRows, rowIndex, sequences.size());
    return outputs(rows, chosen);
  }

  private List<SequenceOutput> outputs(PromptRows rows, RowChooser.Chosen chosen) {
    List<SequenceOutput> outputs = new ArrayList<>();
    for (int s = 0; s < rows.sequences(); s++) {
      int bad = rows.firstRow[s];
      while (bad <= rows.lastRow(s) && !broken.isBroken(bad)) {
        bad++;
      }
      boolean isBroken = bad <= rows.lastRow(s) || chosen.tokens()[s] == SamplingKernels.NO_TOKEN;
      outputs.add(
          isBroken
              ? new StepOutput.Failure(
                  StepCheck.notFinite(Math.min(bad, rows.lastRow(s)) - rows.firstRow[s]))
              : new StepOutput.Token(chosen.tokens()[s], chosen.logits()[s]));
    }
    return outputs;
  }

  private static List<LogitRow> logitRows(PromptRows rows, List<SequenceStep> sequences) {
    List<LogitRow> logitRows = new ArrayList<>();
    for (int s = 0; s < sequences.size(); s++) {
      SequenceStep step = sequences.get(s);
      boolean all = step.logits() == LogitsRequest.ALL;
      for (int row = all ? rows.firstRow[s] : rows.lastRow(s); row <= rows.lastRow(s); row++) {
        int index = all ? row - rows.firstRow[s] : 0;
        logitRows.add(new LogitRow(row, s, step, index, row == rows.lastRow(s)));
      }
    }
    return logitRows;
  }

  /** Slots of the sequences whose tokens are counted. */
  private static int[] countedSlots(List<SequenceStep> sequences) {
    int[] slots = new int[sequences.size()];
    Arrays.setAll(
        slots, s -> isPenalized(sequences.get(s)) ? sequences.get(s).cache().slot() : NO_SLOT);
    return slots;
  }

  private static boolean isPenalized(SequenceStep sequence) {
    return sequence
        .sampler()
        .onDevice()
        .map(sampling -> sampling.params().isPenalized())
        .orElse(false);
  }

  @Override
  public void close() {
    Cleanup cleanup = new Cleanup();
    cleanup.run(tables::close);
    cleanup.run(broken::close);
    cleanup.finish();
  }
}
