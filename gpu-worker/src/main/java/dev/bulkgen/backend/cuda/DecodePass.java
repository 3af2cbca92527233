package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.SequenceStep;
import dev.bulkgen.backend.StepCheck;
import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.backend.StepOutput.SequenceOutput;
import dev.bulkgen.error.BulkgenException;
import dev.bulkgen.error.ErrorCode;
import dev.bulkgen.sampling.DrawnToken;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * The part of a step that decodes. All launches up to the last layer are one graph for each bucket
 * of rows and of splits, captured when it is first needed: what changes from step to step is in
 * tables and in the cache, at addresses that stay.
 */
final class DecodePass implements AutoCloseable {
  private static final int TABLES = 4;

  private final CudaShape shape;
  private final CudaWorkspace workspace;
  private final CudaForward forward;
  private final RowChooser chooser;
  private final CudaStream stream;
  private final StepTables tables;
  private final Map<CudaForward.DecodeTables, CudaGraph> graphs = new HashMap<>();

  DecodePass(
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
    tables = new StepTables(context, tableInts(shape), "tables of decoding rows");
  }

  static int tableInts(CudaShape shape) {
    return StepTables.room(TABLES, TABLES * shape.capacity().slots());
  }

  /**
   * Starts one token of each sequence, whose pages the device knows.
   *
   * @return gives one output per sequence once the step has been waited for
   */
  Supplier<List<SequenceOutput>> start(List<SequenceStep> sequences, StepResults results) {
    DecodeRows rows = new DecodeRows(sequences, shape.capacity().slots());
    tables.clear();
    int splits = Math.min(shape.maxSplits(), DecodeRows.powerOfTwo(shape.splits(rows.longest)));
    CudaForward.DecodeTables placed =
        new CudaForward.DecodeTables(
            rows.bucket,
            splits,
            tables.put(rows.tokens),
            tables.put(rows.positions),
            tables.put(rows.slots));
    long rowIndex = tables.put(IntStream.range(0, rows.count).toArray());
    tables.upload(stream);
    workspace.clearFlags(stream, rows.bucket);
    graph(placed).launch(stream);
    results.fetchDecodeFlags(rows.count);
    List<LogitRow> logitRows = new ArrayList<>();
    for (int row = 0; row < rows.count; row++) {
      logitRows.add(new LogitRow(row, row, sequences.get(row), 0, true, true));
    }
    RowChooser.Chosen chosen = chooser.choose(logitRows, rowIndex, rows.count);
    return () -> outputs(rows, sequences, chosen, results);
  }

  private CudaGraph graph(CudaForward.DecodeTables placed) {
    CudaGraph known = graphs.get(placed);
    if (known == null) {
      known = captureInRoom(placed);
      graphs.put(placed, known);
    }
    return known;
  }

  /** Graphs take memory beside the plan's. Where it runs out, others make room: they come again. */
  private CudaGraph captureInRoom(CudaForward.DecodeTables placed) {
    try {
      return capture(placed);
    } catch (BulkgenException e) {
      if (e.code() != ErrorCode.DEVICE_OUT_OF_MEMORY || graphs.isEmpty()) {
        throw e;
      }
      stream.synchronize();
      closeGraphs();
      return capture(placed);
    }
  }

  private void closeGraphs() {
    Cleanup cleanup = new Cleanup();
    graphs.values().forEach(graph -> cleanup.run(graph::close));
    graphs.clear();
    cleanup.finish();
  }

  private CudaGraph capture(CudaForward.DecodeTables placed) {
    String name = "decode step of " + placed.rows() + " rows, " + placed.splits() + " splits";
    return stream.capture(name, () -> forward.decode(placed));
  }

  private static List<SequenceOutput> outputs(
      DecodeRows rows,
      List<SequenceStep> sequences,
      RowChooser.Chosen chosen,
      StepResults results) {
    List<SequenceOutput> outputs = new ArrayList<>();
    for (int row = 0; row < rows.count; row++) {
      DrawnToken drawn = chosen.drawn(row, sequences.get(row), results);
      boolean isBroken = results.isDecodeBroken(row) || drawn.token() == StepOutput.NO_TOKEN;
      outputs.add(
          isBroken
              ? new StepOutput.Failure(StepCheck.notFinite(rows.positions[row]))
              : new StepOutput.Token(drawn.token(), chosen.logits[row], drawn.logProbs()));
    }
    return outputs;
  }

  @Override
  public void close() {
    Cleanup cleanup = new Cleanup();
    cleanup.run(this::closeGraphs);
    cleanup.run(tables::close);
    cleanup.finish();
  }
}
