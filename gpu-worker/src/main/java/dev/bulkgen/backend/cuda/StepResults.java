package dev.bulkgen.backend.cuda;

import dev.bulkgen.backend.StepOutput;

/** What a step leaves for the host, in pinned memory: valid once {@link #await} has returned. */
final class StepResults {
  private final CudaWorkspace workspace;
  private final CudaStream stream;
  private final PinnedMemory drawn; // int [slots]
  private final PinnedMemory promptFlags; // int [prefillTokens], 1 where a row is not finite
  private final PinnedMemory decodeFlags; // int [slots]
  private final PinnedMemory likeliest; // int [prefillTokens], of rows that are scored
  private final PinnedMemory logProbs; // float [prefillTokens]
  private final CudaEvent done;

  /**
   * @param memory that closes it
   */
  StepResults(OwnedMemory memory, CudaWorkspace workspace, CudaStream stream) {
    this.workspace = workspace;
    this.stream = stream;
    CudaShape shape = workspace.shape();
    drawn = memory.pinned(shape.drawnBytes(), "next tokens");
    long tokens = shape.capacity().prefillTokens();
    promptFlags = memory.pinned(tokens * Integer.BYTES, "finite flags");
    decodeFlags = memory.pinned(shape.drawnBytes(), "finite flags");
    likeliest = memory.pinned(shape.scoreBytes(), "likeliest tokens");
    logProbs = memory.pinned(shape.scoreBytes(), "log-probabilities");
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
    stream.download(likeliest, 0, workspace.likeliest, 0, (long) rows * Integer.BYTES);
    stream.download(logProbs, 0, workspace.logProbs, 0, (long) rows * Float.BYTES);
  }

  /** At the end of a step: brings the tokens to the host, without waiting. */
  void fetchTokens() {
    stream.download(drawn, 0, workspace.drawn, 0, drawn.bytes());
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
    float[] ofTargets = new float[count];
    int[] tokens = new int[count];
    for (int i = 0; i < count; i++) {
      ofTargets[i] = logProbs.buffer().getFloat((first + i) * Float.BYTES);
      tokens[i] = likeliest.buffer().getInt((first + i) * Integer.BYTES);
    }
    return new StepOutput.Scored(ofTargets, tokens);
  }

  /** The token drawn for a slot in the step, or {@link StepOutput#NO_TOKEN}. */
  int token(int slot) {
    return drawn.buffer().getInt(slot * Integer.BYTES);
  }
}
