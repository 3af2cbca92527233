package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.StepOutput;
import dev.bulkgen.sampling.TokenLogProbs;
import java.util.Arrays;

/** What a step leaves for the host, in pinned memory: valid once {@link #await} has returned. */
final class StepResults {
  private final CudaWorkspace workspace;
  private final CudaStream stream;
  private final CudaShape shape;
  private final PinnedMemory drawn; // int [slots], then [prefillTokens] of rows that are scored
  private final PinnedMemory logProbs; // float, the same
  private final PinnedMemory topTokens; // int [slots][MOST_TOP_TOKENS]
  private final PinnedMemory topLogProbs; // float, the same
  private final PinnedMemory promptFlags; // int [prefillTokens], 1 where a row is not finite
  private final PinnedMemory decodeFlags; // int [slots]
  private final CudaEvent done;

  /**
   * @param memory that closes it
   */
  StepResults(OwnedMemory memory, CudaWorkspace workspace, CudaStream stream) {
    this.workspace = workspace;
    this.stream = stream;
    shape = workspace.shape();
    drawn = memory.pinned(shape.resultBytes(), "next tokens");
    logProbs = memory.pinned(shape.resultBytes(), "log-probabilities");
    topTokens = memory.pinned(shape.topBytes(), "likeliest tokens");
    topLogProbs = memory.pinned(shape.topBytes(), "likeliest tokens");
    long tokens = shape.capacity().prefillTokens();
    promptFlags = memory.pinned(tokens * Integer.BYTES, "finite flags");
    decodeFlags = memory.pinned(slotBytes(), "finite flags");
    done = memory.event("step");
  }

  /** Behind a pass's last norm: brings the flags of its rows to the host, without waiting. */
  void fetchPromptFlags(int rows) {
    fetchFlags(promptFlags, rows);
  }

  void fetchDecodeFlags(int rows) {
    fetchFlags(decodeFlags, rows);
  }

  private void fetchFlags(PinnedMemory target, int rows) {
    stream.download(target, 0, workspace.broken, 0, (long) rows * Integer.BYTES);
  }

  /** Behind a pass's head: brings the scores of its first {@code rows} to the host. */
  void fetchScores(int rows) {
    long bytes = (long) rows * Integer.BYTES;
    stream.download(drawn, slotBytes(), workspace.drawn, slotBytes(), bytes);
    stream.download(logProbs, slotBytes(), workspace.logProbs, slotBytes(), bytes);
  }

  private long slotBytes() {
    return (long) Integer.BYTES * shape.capacity().slots();
  }

  /** Brings the log-probabilities of what was drawn to the host, without waiting. */
  void fetchLogProbs() {
    stream.download(logProbs, 0, workspace.logProbs, 0, slotBytes());
    stream.download(topTokens, 0, workspace.topTokens, 0, topTokens.bytes());
    stream.download(topLogProbs, 0, workspace.topLogProbs, 0, topLogProbs.bytes());
  }

  /** At the end of a step: brings the tokens to the host, without waiting. */
  void fetchTokens() {
    stream.download(drawn, 0, workspace.drawn, 0, slotBytes());
    stream.record(done);
  }

  /** Waits for the step; a failure of its work shows here. */
  void await() {
    done.synchronize();
  }

  boolean isPromptBroken(int row) {
    return promptFlags.buffer().getInt(row * Integer.BYTES) != 0;
  }

  boolean isDecodeBroken(int row) {
    return decodeFlags.buffer().getInt(row * Integer.BYTES) != 0;
  }

  /** Scores of {@code count} rows of the pass from {@code first} on. */
  StepOutput.Scored scored(int first, int count) {
    int at = shape.scoredResult(first);
    return new StepOutput.Scored(floats(logProbs, at, count), ints(drawn, at, count));
  }

  /** The token drawn for a slot in the step, or {@link StepOutput#NO_TOKEN}. */
  int token(int slot) {
    return drawn.buffer().getInt(slot * Integer.BYTES);
  }

  /**
   * What was fetched of the token drawn for a slot.
   *
   * @param topCount likeliest tokens that were asked for
   */
  TokenLogProbs logProbs(int slot, int topCount) {
    int count = Math.min(topCount, shape.model().vocabSize());
    int at = slot * SamplingKernels.MOST_TOP_TOKENS;
    return new TokenLogProbs(
        logProbs.buffer().getFloat(slot * Float.BYTES),
        ints(topTokens, at, count),
        floats(topLogProbs, at, count));
  }

  private static int[] ints(PinnedMemory from, int first, int count) {
    int[] values = new int[count];
    Arrays.setAll(values, i -> from.buffer().getInt((first + i) * Integer.BYTES));
    return values;
  }

  private static float[] floats(PinnedMemory from, int first, int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = from.buffer().getFloat((first + i) * Float.BYTES);
    }
    return values;
  }
}
