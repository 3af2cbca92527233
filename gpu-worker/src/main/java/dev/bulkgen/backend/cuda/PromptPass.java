package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.LogitsRequest;
import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepCheck;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.backend.StepOutput.SequenceOutput;
import dev.bulkgen.sampling.DrawnToken;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;

/** The part of a step that prefills. */
final class PromptPass implements AutoCloseable {
  private static final int SEQUENCE_TABLES = 7;
  private static final int TABLES = 3 + 2 + SEQUENCE_TABLES;

  private final CudaShape shape;
  private final CudaWorkspace workspace;
  private final CudaForward forward;
  private final RowChooser chooser;
  private final CudaStream stream;
  private final StepTables tables;

  PromptPass(
      CudaContext context,
      CudaWorkspace workspace,
      CudaForward forward,
      RowChooser chooser,
      CudaStream stream) {
    this.workspace = workspace;
    this.forward = forward;
    this.chooser = chooser;
    this.stream = stream;
    shape = workspace.shape();
    tables = new StepTables(context, tableInts(shape), "tables of prompts");
  }

  /** Ints of all tables: three of tokens, two of tiles, the rest of sequences. */
  static int tableInts(CudaShape shape) {
    int tokens = shape.capacity().prefillTokens();
    int sequences = shape.capacity().slots();
    int tiles = tokens / PrefillAttentionKernels.QUERY_TILE + sequences;
    return StepTables.room(TABLES, 3 * tokens + 2 * tiles + SEQUENCE_TABLES * sequences);
  }

  /**
   * Starts prompts whose pages the device knows.
   *
   * @return gives one output per sequence once the step has been waited for
   */
  Supplier<List<SequenceOutput>> start(List<SequenceStep> sequences, StepResults results) {
    PromptRows rows =
        new PromptRows(
            sequences, shape.layout(), PrefillAttentionKernels.QUERY_TILE, shape.blockRows());
    tables.clear();
    CudaForward.PromptTables placed = place(rows);
    List<LogitRow> logitRows = logitRows(rows, sequences);
    long rowIndex = tables.put(logitRows.stream().mapToInt(LogitRow::row).toArray());
    tables.upload(stream);
    workspace.clearFlags(stream, rows.count);
    forward.prefill(rows, placed);
    results.fetchPromptFlags(rows.count);
    RowChooser.Chosen chosen = chooser.choose(logitRows, rowIndex, sequences.size());
    if (logitRows.stream().anyMatch(LogitRow::isScored)) {
      results.fetchScores(logitRows.size());
    }
    return () -> outputs(rows, sequences, chosen, results);
  }

  private CudaForward.PromptTables place(PromptRows rows) {
    PromptView prompts =
        new PromptView(
            workspace.promptKeys.address(),
            workspace.promptValues.address(),
            tables.put(rows.firstRow),
            tables.put(rows.length),
            tables.put(rows.earlier),
            tables.put(rows.slots),
            workspace.kept());
    int sequences = rows.sequences();
    return new CudaForward.PromptTables(
        tables.put(rows.tokens),
        tables.put(rows.positions),
        prompts,
        new CacheKernels.Stored(
            sequences, rows.longestStored(), tables.put(rows.stored), tables.put(rows.sharedPages)),
        new CacheKernels.Staged(sequences, rows.longestPart(), tables.put(rows.staged)),
        tables.put(rows.tileSequence),
        tables.put(rows.tileStart));
  }

  private List<SequenceOutput> outputs(
      PromptRows rows,
      List<SequenceStep> sequences,
      RowChooser.Chosen chosen,
      StepResults results) {
    List<SequenceOutput> outputs = new ArrayList<>();
    for (int s = 0; s < rows.sequences(); s++) {
      SequenceStep step = sequences.get(s);
      int bad = rows.beginRow(s);
      while (bad <= rows.lastRow(s) && !results.isPromptBroken(bad)) {
        bad++;
      }
      DrawnToken drawn = step.draws() ? chosen.drawn(s, step, results) : null;
      if (bad <= rows.lastRow(s) || drawn != null && drawn.token() == StepOutput.NO_TOKEN) {
        int position = Math.min(bad, rows.lastRow(s)) - rows.firstRow[s];
        outputs.add(new StepOutput.Failure(StepCheck.notFinite(position)));
      } else if (drawn != null) {
        outputs.add(new StepOutput.Token(drawn.token(), chosen.logits[s], drawn.logProbs()));
      } else if (step.targets().length > 0) {
        StepOutput.Scored scored = results.scored(chosen.firstRow(s), step.targets().length);
        outputs.add(scored.orFailure(rows.length[s]));
      } else {
        outputs.add(new StepOutput.Fed(chosen.logits[s]));
      }
    }
    return outputs;
  }

  /** Rows whose logits are asked for, and those that a token is drawn from or scored by. */
  private static List<LogitRow> logitRows(PromptRows rows, List<SequenceStep> sequences) {
    List<LogitRow> logitRows = new ArrayList<>();
    for (int s = 0; s < sequences.size(); s++) {
      SequenceStep step = sequences.get(s);
      int last = rows.lastRow(s);
      int count = logitRows(step);
      int first = last - count + 1;
      for (int row = first; row <= last; row++) {
        boolean isDrawn = row == last && step.draws();
        logitRows.add(new LogitRow(row, s, step, row - first, row == last, isDrawn));
      }
    }
    return logitRows;
  }

  /** Of the sequence's last rows. */
  private static int logitRows(SequenceStep step) {
    if (step.logits() == LogitsRequest.ALL) {
      return step.tokens().length;
    }
    boolean needsLast = step.draws() || step.logits() == LogitsRequest.LAST;
    return needsLast ? 1 : step.targets().length;
  }

  @Override
  public void close() {
    tables.close();
  }
}
